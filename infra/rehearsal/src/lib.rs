//! The deployed whole, on stand-ins for AWS: what is built, deployed and driven here is the real thing.
