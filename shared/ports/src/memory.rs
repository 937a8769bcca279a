//! Strict in-memory adapters for stories and simulation.
