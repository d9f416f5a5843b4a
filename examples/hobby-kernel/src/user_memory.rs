//! User memory, as the kernel reaches it: by asking the hardware what the program itself may do.

use armv7a_mm::addr::{PAGE_SIZE, VirtAddr};
use armv7a_mm::armv7::mmu::{self, Query};

use crate::memory::virt;
use crate::processes::PROCESSES;

/// The address is not the program's, or not for this.
#[derive(Debug)]
pub struct NotYours;

/// Where the linear map shows the byte at `at` of the running program, which may do what `query` says; a page that is
/// missing is brought first.
fn reach(at: VirtAddr, query: Query) -> Result<*mut u8, NotYours> {
    let mut answer = mmu::translate(at, query);
    if let Err(mut fault) = answer {
        fault.write = query == Query::UserWrite;
        let mut processes = PROCESSES.lock();
        processes.current().space().fault(&fault, at).map_err(|_| NotYours)?;
        answer = mmu::translate(at, query);
    }
    answer.map(virt).map_err(|_| NotYours)
}

/// Copies `to.len()` bytes of the running program's from `from`.
///
/// # Errors
/// It may not read all of them.
pub fn read(mut to: &mut [u8], mut from: u32) -> Result<(), NotYours> {
    while !to.is_empty() {
        let bytes = to.len().min((PAGE_SIZE - from % PAGE_SIZE) as usize);
        let (part, rest) = to.split_at_mut(bytes);
        let source = reach(VirtAddr(from), Query::UserRead)?;
        // SAFETY: the program's page, and nobody runs who could write to it.
        unsafe { part.as_mut_ptr().copy_from_nonoverlapping(source, bytes) };
        from = from.wrapping_add(bytes as u32);
        to = rest;
    }
    Ok(())
}

/// Writes `word` to `to`, which is aligned, in the running program's memory.
///
/// # Errors
/// It may not write there.
pub fn write(to: u32, word: u32) -> Result<(), NotYours> {
    if !to.is_multiple_of(4) {
        return Err(NotYours);
    }
    let place = reach(VirtAddr(to), Query::UserWrite)?.cast::<u32>();
    // SAFETY: the program's page, in which an aligned word lies whole.
    unsafe { place.write(word) };
    Ok(())
}
