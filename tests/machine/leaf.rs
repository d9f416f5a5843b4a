//! What a descriptor says to the hardware, whatever its format.

/// Reading, writing, executing: what one privilege level may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Allowed {
    pub read: bool,
    pub write: bool,
    pub execute: bool,
}

/// How one level of cache treats normal memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cached {
    Not,
    WriteThrough,
    WriteBack,
    WriteBackAllocate,
}

/// A memory type (DDI 0406C A3.5). What cannot be told from the manual is `Unknown`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    StronglyOrdered,
    Device,
    /// Inner and outer caches.
    Normal(Cached, Cached),
    Unknown,
}

/// Shareability.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    Non,
    Outer,
    Inner,
}

/// A translation as the hardware keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leaf {
    /// Physical minus virtual address, modulo 2^64.
    pub offset: u64,
    /// It translates `1 << shift` bytes, all sixteen parts of a run together.
    pub shift: u32,
    /// One descriptor of it translates `1 << step` bytes.
    pub step: u32,
    /// The level in the manual's count, for fault status.
    pub level: u32,
    pub global: bool,
    pub young: bool,
    pub domain: u8,
    pub kernel: Allowed,
    pub user: Allowed,
    pub memory: Memory,
    pub share: Share,
}

impl Leaf {
    /// Where `va` lies: 40 bits.
    pub fn phys(&self, va: u32) -> u64 {
        u64::from(va).wrapping_add(self.offset) & 0xFF_FFFF_FFFF
    }

    /// The first address that the leaf translates, of which `va` is one.
    pub fn first(&self, va: u32) -> u32 {
        first(va, self.shift)
    }

    /// The last address.
    pub fn last(&self, va: u32) -> u32 {
        last(va, self.shift)
    }

    /// Whether two leaves may follow each other for one address with no invalid entry between: they differ
    /// in permissions, domain and access flag alone (B3.10.1, "change of translation table entries").
    pub fn may_replace(&self, old: &Self) -> bool {
        let key = |leaf: &Self| (leaf.offset, leaf.shift, leaf.memory, leaf.share, leaf.global);
        key(self) == key(old)
    }

    /// Whether it is writable and executable at once, at whatever privilege.
    pub fn writes_and_executes(&self) -> bool {
        (self.kernel.write || self.user.write) && (self.kernel.execute || self.user.execute)
    }
}

/// The first of the aligned `1 << shift` bytes that hold `va`.
pub fn first(va: u32, shift: u32) -> u32 {
    if shift >= 32 { 0 } else { va >> shift << shift }
}

/// The last of them.
pub fn last(va: u32, shift: u32) -> u32 {
    if shift >= 32 { u32::MAX } else { va | ((1 << shift) - 1) }
}

/// What a table entry imposes on all below it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Inherit {
    /// Short descriptors: pages have their table's domain (B3.12.3).
    pub domain: u8,
    pub pxn: bool,
    pub xn: bool,
    pub no_user: bool,
    pub read_only: bool,
}

/// A descriptor, read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// A translation fault.
    Invalid,
    /// A table, and what holds below it.
    Table(u64, Inherit),
    /// Memory.
    Leaf(Leaf),
}
