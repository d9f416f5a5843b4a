//! Addresses: physical ones of 40 bits, virtual ones of 32, and ranges that may end at 4 GiB.
//!
//! A range is kept by its first and its *last* byte, so that one which ends at the top of the address
//! space needs no 33rd bit and no special case.

use core::fmt;

/// log2 of [`PAGE_SIZE`].
pub const PAGE_SHIFT: u32 = 12;
/// Bytes of a page, the smallest unit of mapping in both formats.
pub const PAGE_SIZE: u32 = 1 << PAGE_SHIFT;

/// A physical address: 0 to 2^40 − 1, what LPAE and supersections can output (DDI 0406C B3.6.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct PhysAddr(u64);

impl PhysAddr {
    /// Bits of a physical address.
    pub const BITS: u32 = 40;
    /// The highest physical address.
    pub const MAX: Self = Self((1 << Self::BITS) - 1);

    /// The address `addr`, or `None` beyond 40 bits.
    #[inline]
    pub const fn new(addr: u64) -> Option<Self> {
        if addr <= Self::MAX.0 { Some(Self(addr)) } else { None }
    }

    /// The low 40 bits of `addr`; for descriptor fields, which have no more.
    #[inline]
    pub const fn truncate(addr: u64) -> Self {
        Self(addr & Self::MAX.0)
    }

    /// A 32-bit address, which is always in range.
    #[inline]
    pub const fn from_u32(addr: u32) -> Self {
        Self(addr as u64)
    }

    /// The address as a number.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The address `bytes` further up, or `None` beyond 40 bits.
    #[inline]
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(sum) => Self::new(sum),
            None => None,
        }
    }

    /// Whether the low `shift` bits are zero.
    #[inline]
    pub const fn is_aligned(self, shift: u32) -> bool {
        self.0 & ((1 << shift) - 1) == 0
    }
}

impl fmt::Debug for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhysAddr({:#012x})", self.0)
    }
}

impl fmt::Display for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#012x}", self.0)
    }
}

/// A virtual address: all 32 bits are meaningful.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct VirtAddr(pub u32);

impl VirtAddr {
    /// The highest virtual address.
    pub const MAX: Self = Self(u32::MAX);

    /// The address as a number.
    #[inline]
    pub const fn as_u32(self) -> u32 {
        self.0
    }

    /// Whether the low `shift` bits are zero (`shift` below 32).
    #[inline]
    pub const fn is_aligned(self, shift: u32) -> bool {
        self.0 & ((1 << shift) - 1) == 0
    }

    /// The address with its low `shift` bits cleared (`shift` below 32).
    #[inline]
    pub const fn align_down(self, shift: u32) -> Self {
        Self(self.0 & !((1 << shift) - 1))
    }
}

impl fmt::Debug for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtAddr({:#010x})", self.0)
    }
}

impl fmt::Display for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Why a range of virtual addresses cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeError {
    /// It holds no byte.
    Empty,
    /// It would end beyond 4 GiB.
    Overflow,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the range holds no byte",
            Self::Overflow => "the range ends beyond the 4 GiB of the address space",
        })
    }
}

impl core::error::Error for RangeError {}

/// A range of virtual addresses: never empty, and free to end at 4 GiB or to be all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VirtRange {
    start: u32,
    last: u32,
}

impl VirtRange {
    /// The whole address space.
    pub const ALL: Self = Self { start: 0, last: u32::MAX };

    /// `bytes` bytes from `start`, up to and including the top of the address space.
    ///
    /// # Errors
    /// [`RangeError::Empty`] for no bytes, [`RangeError::Overflow`] beyond 4 GiB.
    pub const fn new(start: VirtAddr, bytes: u64) -> Result<Self, RangeError> {
        if bytes == 0 {
            return Err(RangeError::Empty);
        }
        if bytes > (1 << 32) - start.0 as u64 {
            return Err(RangeError::Overflow);
        }
        Ok(Self { start: start.0, last: (start.0 as u64 + (bytes - 1)) as u32 })
    }

    /// From `start` to `last`, both included.
    ///
    /// # Errors
    /// [`RangeError::Empty`] if `last` lies below `start`.
    pub const fn inclusive(start: VirtAddr, last: VirtAddr) -> Result<Self, RangeError> {
        if last.0 < start.0 {
            return Err(RangeError::Empty);
        }
        Ok(Self { start: start.0, last: last.0 })
    }

    /// The aligned `1 << shift` bytes that hold `addr` (`shift` below 32).
    #[inline]
    pub const fn aligned(addr: VirtAddr, shift: u32) -> Self {
        let start = addr.align_down(shift).0;
        Self { start, last: start | ((1 << shift) - 1) }
    }

    /// The page that holds `addr`.
    #[inline]
    pub const fn page(addr: VirtAddr) -> Self {
        Self::aligned(addr, PAGE_SHIFT)
    }

    /// The first address.
    #[inline]
    pub const fn start(self) -> VirtAddr {
        VirtAddr(self.start)
    }

    /// The last address, which belongs to the range.
    #[inline]
    pub const fn last(self) -> VirtAddr {
        VirtAddr(self.last)
    }

    /// Bytes in the range: 1 to 2^32.
    #[inline]
    pub const fn bytes(self) -> u64 {
        (self.last - self.start) as u64 + 1
    }

    /// The number of the first page that lies whole in the range, and that of the first behind which does not: no more
    /// than the other if there is none.
    pub(crate) const fn whole_pages(self) -> (u32, u32) {
        let end = (self.last as u64 + 1) >> PAGE_SHIFT;
        (self.start.div_ceil(PAGE_SIZE), end as u32)
    }

    /// Whether both ends lie on a boundary of `1 << shift` bytes (`shift` below 32).
    #[inline]
    pub const fn is_aligned(self, shift: u32) -> bool {
        (self.start | self.last.wrapping_add(1)) & ((1 << shift) - 1) == 0
    }

    /// Whether `addr` lies in the range.
    #[inline]
    pub const fn contains(self, addr: VirtAddr) -> bool {
        self.start <= addr.0 && addr.0 <= self.last
    }

    /// Whether `bytes` bytes from `addr` on all lie in the range: not if they go on beyond the top of the address
    /// space. Of no bytes all do.
    #[inline]
    pub const fn holds(self, addr: VirtAddr, bytes: usize) -> bool {
        match bytes.checked_sub(1) {
            None => true,
            Some(more) => self.contains(addr) && more as u64 <= (self.last - addr.0) as u64,
        }
    }

    /// Whether all of `other` lies in the range.
    #[inline]
    pub const fn encloses(self, other: Self) -> bool {
        self.start <= other.start && other.last <= self.last
    }

    /// Whether the ranges share an address.
    #[inline]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start <= other.last && other.start <= self.last
    }

    /// The addresses that both ranges hold.
    #[inline]
    pub const fn intersection(self, other: Self) -> Option<Self> {
        if self.overlaps(other) { Some(self.within(other)) } else { None }
    }

    /// The [intersection](Self::intersection) with `other`, which is known to share an address.
    #[inline]
    pub(crate) const fn within(self, other: Self) -> Self {
        debug_assert!(self.overlaps(other));
        Self {
            start: if self.start > other.start { self.start } else { other.start },
            last: if self.last < other.last { self.last } else { other.last },
        }
    }

    /// What of the range lies before `end`, which is one of its addresses, and not the first.
    #[inline]
    pub(crate) const fn until(self, end: VirtAddr) -> Self {
        debug_assert!(self.start < end.0 && end.0 <= self.last);
        Self { start: self.start, last: end.0 - 1 }
    }

    /// What of the range lies behind `last`, which is one of its addresses, if anything does.
    #[inline]
    pub(crate) const fn behind(self, last: VirtAddr) -> Option<Self> {
        debug_assert!(self.contains(last));
        if last.0 == self.last { None } else { Some(Self { start: last.0 + 1, last: self.last }) }
    }

    /// The smallest range that holds both.
    #[inline]
    pub const fn hull(self, other: Self) -> Self {
        Self {
            start: if self.start < other.start { self.start } else { other.start },
            last: if self.last > other.last { self.last } else { other.last },
        }
    }
}

impl fmt::Debug for VirtRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}..={:#010x}", self.start, self.last)
    }
}

impl fmt::Display for VirtRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
