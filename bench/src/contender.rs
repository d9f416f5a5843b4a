//! What every library is asked to do.

/// Where user space is mapped: 1 GiB from here on.
pub const WINDOW: usize = 0x4000_0000;
/// Its bytes.
pub const BYTES: usize = 1 << 30;
/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Pages in the window.
pub const PAGES: usize = BYTES / PAGE;

/// The memory behind the window.
pub const FRAMES: usize = 0x8000_0000;
/// The same for large leaves: blocks of 2 MiB, but not one of 1 GiB.
pub const LARGE_FRAMES: usize = 0x8200_0000;

/// A library's address space.
pub trait Contender: Sized {
    /// What it is called in results.
    const NAME: &'static str;
    /// The bytes that a large leaf maps.
    const LARGE: usize = 2 << 20;
    /// Whether the tables of what is unmapped are freed.
    const FREES: bool = true;

    /// What exists once: whatever address spaces share, or are made of.
    type Kernel;

    /// Makes that.
    fn kernel() -> Self::Kernel;

    /// Bytes in use: the same before as after means that nothing leaked.
    fn used(kernel: &Self::Kernel) -> usize;

    /// An empty address space with the kernel's half in it, whose window is to show the memory from `frames` on.
    fn create(kernel: &mut Self::Kernel, frames: usize) -> Self;

    /// Maps the whole window in pages, writable.
    fn map(&mut self);

    /// Maps the whole window in large leaves.
    fn map_large(&mut self);

    /// Maps the page at `va`.
    fn map_one(&mut self, va: usize);

    /// Withdraws the right to write to the whole window, mapped in pages.
    fn protect(&mut self);

    /// Unmaps the whole window, mapped in pages.
    fn unmap(&mut self);

    /// Where `va` lies.
    fn translate(&self, va: usize) -> Option<usize>;

    /// Whether `va` may be written.
    fn is_writable(&self, va: usize) -> bool;

    /// Gives it back, and every table in it.
    fn destroy(self, kernel: &mut Self::Kernel);
}
