//! The ports on AWS, one module and one cargo feature for each service.
