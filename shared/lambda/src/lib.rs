//! What every function on Lambda has in common: settings, clock, log lines, metrics and its event loop.
