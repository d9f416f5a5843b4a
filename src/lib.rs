//! A kernel's memory management on 32-bit Arm (ARMv7-A).
#![no_std]
#![cfg_attr(not(target_arch = "arm"), forbid(unsafe_op_in_unsafe_fn))]

pub mod addr;
pub mod attr;
pub mod format;
pub mod mm;
pub mod table;

#[cfg(target_arch = "arm")]
pub mod armv7;
