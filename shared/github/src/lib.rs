//! The ports on GitHub's API.
