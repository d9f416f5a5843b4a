//! Bugs that other kernels had, and rules of the manual: a test for each row of the table in `README.md` that no
//! other file answers. A test's name starts with its rows; `readme` checks that the table and the names agree.

mod descriptors;
mod identity;
mod layouts;
mod readme;
mod source;
mod tables;
mod windows;
