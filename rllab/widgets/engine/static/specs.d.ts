// The types of what Python sends (components.py and charts.py make it: one strict JSON object per component),
// and of what a component is given. Only the type check reads this file.

import type { ComponentChildren, ComponentType } from "./vendor/preact.js";

export interface Span {
  text: string;
  bold?: boolean;
  tone?: "up" | "down" | "dim";
  tip?: string;
}

/** The value that is sent back, and the words shown. */
export type Option = [value: string, words: string];

export interface Chip {
  t: string; // text
  a?: string; // name read aloud
  n?: string; // number
  i?: number; // tint, from -2 to 2
  f?: boolean; // forced
  next?: boolean; // stands for the token that is not written yet
}

export interface Bar {
  label: string;
  width: number; // lengths are shares of the track, from 0 to 1
  inner?: number;
  tick?: number;
  number: string;
  extra: Span[];
  name: string;
  value: number | null;
}

export interface Column {
  title: string;
  numeric?: boolean;
}

export interface TableSpec {
  caption?: string;
  columns: Column[];
  rows: Span[][];
}

export type MarkName = "" | "right" | "wrong";

export interface CardsSpec {
  label: string;
  mode: string;
  tray: string; // the place of the cards that are still to be placed
  zones: { id: string; label: string; cards: string[] }[];
  cards: Record<string, { text: string; mark: MarkName }>;
}

export interface Trace {
  name?: string;
  x?: any[];
  y?: any[];
  z?: (number | null)[][];
  x0?: number;
  text?: string[][];
  orientation?: string;
  hoverinfo?: string;
}

export interface Axis {
  title?: { text?: string };
  tickvals?: any[];
  ticktext?: string[];
}

export interface Figure {
  data: Trace[];
  layout: { xaxis?: Axis; yaxis?: Axis; [name: string]: unknown };
}

interface Field {
  label: string;
  showLabel?: boolean;
  disabled?: boolean;
}

export interface Specs {
  panel: { title: string; shortcuts: Record<string, string> };
  head: { title: string };
  row: { end: boolean };
  columns: { three: boolean; pair: boolean };
  group: { title: string };
  fold: { label: string; open: boolean };
  heading: { spans: Span[] };
  note: { spans: Span[] };
  prose: { spans: Span[] };
  passage: { label: string; text: string };
  reading: { spans: Span[]; live: boolean };
  finding: { spans: Span[]; good: boolean };
  alert: { text: string };
  badges: { badges: { kind: string; text: string }[] };
  ring: { stages: string[]; active: string };
  progress: { label: string; done: number; total: number; text: string };
  table: TableSpec;
  button: { label: string; main: boolean; disabled: boolean; pressed: boolean | null; name: string };
  text: Field & { value: string; enter: string; placeholder?: string; small?: boolean };
  select: Field & { options: Option[]; value: string };
  slider: Field & { options: Option[]; index: number };
  radios: { label: string; options: Option[]; value: string };
  choices: {
    label: string;
    options: { value: string; text: string; mark: MarkName }[];
    chosen: string[];
    many: boolean;
    disabled: boolean;
  };
  chips: { label: string; prompt: string[]; items: Chip[]; selected: number | null; next: string; quantity: string };
  legend: { items: [look: string, words: string][] };
  bars: { label: string; items: Bar[]; rest: Bar | null };
  cards: CardsSpec;
  chart: { figure: Figure; alt: string; height: number };
}

export type Kind = keyof Specs;

/** The description of one component of a kind, or of any kind. */
export type Spec<K extends Kind = Kind> = { [k in K]: Specs[k] & { kind: k; children?: string[]; stamp?: string } }[K];

/** The colours of every role in light and dark, and plotly's template. */
export interface Look {
  roles: Record<string, [light: string, dark: string]>;
  template: object;
}

/** How a component reaches Python. */
export interface Actions {
  press(other?: string): void;
  set(value: unknown): void;
  /** Return how many events of this component have not been answered. */
  waiting(): number;
}

/** What every component is given; `answers` counts the events of it that Python has answered. */
export interface Props<K extends Kind = Kind> {
  name: string;
  spec: Spec<K>;
  answers: number;
  actions: Actions;
  look: Look;
  children?: ComponentChildren;
}

export type Kinds = { [K in Kind]: ComponentType<Props<K>> };

/** What the learner did; without a key it only asks whether anybody is there. */
export interface Message {
  key?: string;
  event: "press" | "set" | "probe";
  value?: unknown;
  stamp?: string | null;
  seq?: string;
}

/** An event of the page on an element, and a reference to an element that is drawn. */
export type On<E extends Event, T extends Element = HTMLElement> = E & { target: T };
export type Drawn<T extends Element = HTMLElement> = { current: T };

/** What a widget gives its view: the model of anywidget. */
export interface Model {
  get(name: string): any;
  send(message: Message): void;
  on(event: string, call: () => void): void;
  off(event: string, call: () => void): void;
  widget_manager: { get_model(id: string): Promise<any> };
}

declare global {
  /** Put in front of the scripts by assets.py. */
  const LOOK: Look;
  /** What the widgets of one page share: the promise of plotly.js, and how to keep it. */
  var rllabShared: {
    plotly?: Promise<any>;
    resolve?: (library: any) => void;
    reject?: (reason: unknown) => void;
    started?: boolean;
  };
  interface Window {
    Plotly: any;
  }
}
