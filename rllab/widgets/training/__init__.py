"""The training panel: a run that can be paused, rewound and examined."""
