//! The image that uses everything once, for `cargo xtask bench --size`.
#![no_std]
#![no_main]

stub::payload!(stub::whole::run);
