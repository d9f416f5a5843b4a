//! Fault status, encoded as the hardware would (DDI 0406C B3.13.3).

/// Why an access faulted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    Translation,
    AccessFlag,
    Domain,
    Permission,
    /// The memory system answered a table walk with an error.
    WalkExternal,
    TlbConflict,
}

/// A fault: its cause, and the level in the manual's count, 1 to 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    pub cause: Cause,
    pub level: u32,
    /// Short descriptors: the domain, which counts where a first-level descriptor was read.
    pub domain: u8,
}

impl Status {
    /// A fault of no domain.
    pub const fn new(cause: Cause, level: u32) -> Self {
        Self { cause, level, domain: 0 }
    }

    /// DFSR as it would read. `long` says which descriptors are in use.
    pub fn dfsr(&self, long: bool, write: bool) -> u32 {
        let wnr = u32::from(write) << 11;
        if long { self.long() | 1 << 9 | wnr } else { self.short() | wnr }
    }

    /// Table B3-23: FS[4] in bit 10, FS[3:0] in 3:0, the domain in 7:4.
    fn short(&self) -> u32 {
        let page = u32::from(self.level == 2);
        let status = match self.cause {
            Cause::Translation => 0b00101 | page << 1,
            Cause::AccessFlag if page == 1 => 0b00110,
            Cause::AccessFlag => 0b00011,
            Cause::Domain => 0b01001 | page << 1,
            Cause::Permission => 0b01101 | page << 1,
            Cause::WalkExternal => 0b01100 | page << 1,
            Cause::TlbConflict => 0b10000,
        };
        status & 0xF | status >> 4 << 10 | u32::from(self.domain) << 4
    }

    /// Table B3-24: six bits, the level in the low two of most.
    fn long(&self) -> u32 {
        match self.cause {
            Cause::Translation => 0b00_0100 | self.level,
            Cause::AccessFlag => 0b00_1000 | self.level,
            // There are no domains (B3.6).
            Cause::Domain | Cause::Permission => 0b00_1100 | self.level,
            Cause::WalkExternal => 0b01_0100 | self.level,
            Cause::TlbConflict => 0b11_0000,
        }
    }
}
