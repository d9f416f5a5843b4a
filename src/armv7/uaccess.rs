//! Privileged access never: the kernel runs with user space closed to it, and opens it for as long as it copies.
//!
//! In the classic format DACR closes user space's domain; under LPAE TTBCR.EPD0 stops walks by TTBR0, so the kernel half
//! has to be TTBR1's as a whole ([`Registers::with_user_open`]). A kernel
//! 1. [`close`]s user space on every CPU, once its tables are in use;
//! 2. closes it again first thing in every exception's handler, and [restores](Saved::restore) last thing what it
//!    found: an interrupt taken from within [`open`] must not find user space open, nor leave it closed. That is also
//!    what opens it for user mode, which DACR and EPD0 would lock out as well:
//!
//!    ```ignore
//!    extern "C" fn exception(frame: &mut Frame) {
//!        // SAFETY: the layout allows it.
//!        let user = unsafe { uaccess::close() };
//!        handle(frame);
//!        user.restore();
//!    }
//!    ```
//!
//!    The two halves are an MRC, an MCR and an ISB, and an MCR and an ISB, for entry code that is assembly.
//!    User mode is first entered by [`Saved::for_user_mode`];
//! 3. asks [`fixup`] in its data abort handler, when nothing else is to be done about a fault of the kernel's: a copy is
//!    then continued where it gives up.
//!
//! Copies go by LDRT and STRT, so that user space's own permissions count: what user mode may not read or write is not
//! read or written for it, whatever the kernel may do, and PAN or not.

use core::fmt;

use super::barrier::{ISH, dsb, isb};
use super::cache::{data_line, instruction_line, lines};
use super::cp15::{DACR, TTBCR};
use super::tlb::forget_predictions;
use super::user_copy;
use crate::addr::{VirtAddr, VirtRange};
use crate::format::Active;
use crate::format::control::Registers;

/// Whether user space was open, to be restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use = "what was open before stays closed"]
pub struct Saved {
    open: bool,
}

impl Saved {
    /// As user mode needs it: open.
    pub fn for_user_mode() -> Self {
        Self { open: true }
    }

    /// Whether user space was open.
    pub fn was_open(self) -> bool {
        self.open
    }

    /// User space is open or closed again, as it was; what else the register says stays.
    #[inline(always)]
    pub fn restore(self) {
        // SAFETY: open it may be at any time, and who closed it answered for that.
        unsafe { set_register(Active::with_user_open(register(), self.open)) }
    }
}

/// Whether `value`, of [`register`], has user space open.
#[inline(always)]
fn says_open(value: u32) -> bool {
    value == Active::with_user_open(value, true)
}

/// Closes user space to privileged accesses of this CPU. Returns what was.
///
/// # Safety
/// `Layout::user_can_be_closed`, TTBR1 is in charge where that says so (`mmu::set_split`) for as long as the answer is
/// kept, and under LPAE ASID 0 is no address space's.
#[inline(always)]
pub unsafe fn close() -> Saved {
    let was = register();
    // SAFETY: the caller's promise.
    unsafe { set_register(Active::with_user_open(was, false)) }
    Saved { open: says_open(was) }
}

/// Whether this CPU's privileged accesses reach user space.
pub fn is_open() -> bool {
    says_open(register())
}

/// Opens user space while `run` runs. `user` is what of it may be reached: `Layout::user`.
///
/// Interrupts may be taken meanwhile, and the thread may be moved, as long as handlers do as they
/// [should](self).
pub fn open<R>(user: VirtRange, run: impl FnOnce(&User) -> R) -> R {
    let was = register();
    // SAFETY: what user mode can reach at any time; memory that Rust knows of is none of that.
    unsafe { set_register(Active::with_user_open(was, true)) }
    let result = run(&User { range: user });
    Saved { open: says_open(was) }.restore();
    result
}

/// Where to continue from a data abort that the kernel took at `pc`, for which nothing else can be done: `None` if it was
/// not a copy's.
pub fn fixup(pc: u32) -> Option<u32> {
    user_copy::fixups().iter().find(|it| it.start <= pc && pc < it.end).map(|it| it.landing)
}

/// Why an access to user space was not completed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum UserError {
    /// Some of it is not user space's: nothing was done.
    OutOfBounds {
        /// Where it starts.
        at: VirtAddr,
    },
    /// User mode could not have done it either, and the kernel's fault handler had no remedy.
    Fault {
        /// Bytes that were copied before: all those below `at`.
        copied: usize,
        /// The first byte that was not.
        at: VirtAddr,
    },
}

impl fmt::Display for UserError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { at } => write!(f, "what starts at {at} is not all user space's"),
            Self::Fault { copied, at } => {
                write!(f, "user mode has no such access at {at}, {copied} bytes on")
            }
        }
    }
}

impl core::error::Error for UserError {}

/// User space, while it is [open].
#[derive(Debug)]
pub struct User {
    range: VirtRange,
}

impl User {
    /// Copies from user space. A word that is aligned on both sides is read at once.
    ///
    /// # Errors
    /// [`UserError`]; what of `to` was not copied stays as it was.
    pub fn read(&self, from: VirtAddr, to: &mut [u8]) -> Result<(), UserError> {
        self.check(from, to.len())?;
        // SAFETY: the slice is ours to write, and only user space's own is read.
        let left = unsafe { user_copy::copy_from_user(to.as_mut_ptr(), from.0, to.len()) };
        complete(from, to.len(), left)
    }

    /// Copies to user space. A word that is aligned on both sides is written at once.
    ///
    /// # Errors
    /// [`UserError`]; what of user space was not copied to stays as it was.
    pub fn write(&self, to: VirtAddr, from: &[u8]) -> Result<(), UserError> {
        self.check(to, from.len())?;
        // SAFETY: only what user mode may write itself is written, which Rust knows nothing of.
        let left = unsafe { user_copy::copy_to_user(to.0, from.as_ptr(), from.len()) };
        complete(to, from.len(), left)
    }

    /// Reads a word.
    ///
    /// # Errors
    /// [`UserError`].
    pub fn read_u32(&self, from: VirtAddr) -> Result<u32, UserError> {
        let mut word = Word([0; 4]);
        self.read(from, &mut word.0).map(|()| u32::from_ne_bytes(word.0))
    }

    /// Writes a word.
    ///
    /// # Errors
    /// [`UserError`].
    pub fn write_u32(&self, to: VirtAddr, value: u32) -> Result<(), UserError> {
        self.write(to, &Word(value.to_ne_bytes()).0)
    }

    /// Makes instructions that were just written to user space ready to run, as
    /// [`cache::publish_code`](super::cache::publish_code) does. Maintenance by a user address faults where user
    /// space is closed or not mapped: the first does not happen here, the second is an error.
    ///
    /// # Errors
    /// [`UserError`]; `copied` counts the bytes whose lines were maintained.
    pub fn publish_code(&self, at: VirtAddr, bytes: usize) -> Result<(), UserError> {
        self.check(at, bytes)?;
        for (line, maintain) in [
            (data_line(), user_copy::clean_user as unsafe extern "C" fn(usize) -> usize),
            (instruction_line(), user_copy::forget_user_code),
        ] {
            for from in lines(at.0 as usize, bytes, line) {
                // SAFETY: no value changes.
                if unsafe { maintain(from) } != 0 {
                    let done = from.saturating_sub(at.0 as usize);
                    return complete(at, bytes, bytes - done);
                }
            }
            dsb(ISH);
        }
        forget_predictions();
        dsb(ISH);
        isb();
        Ok(())
    }

    fn check(&self, at: VirtAddr, bytes: usize) -> Result<(), UserError> {
        if self.range.holds(at, bytes) { Ok(()) } else { Err(UserError::OutOfBounds { at }) }
    }
}

/// A word's bytes, aligned as a word is.
#[repr(align(4))]
struct Word([u8; 4]);

/// What a copy of `bytes` bytes at `start` came to, of which `left` are left.
fn complete(start: VirtAddr, bytes: usize, left: usize) -> Result<(), UserError> {
    let copied = bytes - left;
    match left {
        0 => Ok(()),
        _ => Err(UserError::Fault { copied, at: VirtAddr(start.0 + copied as u32) }),
    }
}

/// The register that opens and closes user space.
#[inline(always)]
fn register() -> u32 {
    if Active::LPAE { TTBCR::read() } else { DACR::read() }
}

/// Writes it. Accesses are not moved across: no system register's write is `nomem`.
///
/// # Safety
/// The kernel can run so.
#[inline(always)]
unsafe fn set_register(value: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        if Active::LPAE {
            TTBCR::write(value);
        } else {
            DACR::write(value);
        }
    }
    isb();
}
