//! Who may do what: accesses, permissions, domains.

use core::fmt;

use bitflags::bitflags;

use super::regs::Regs;

/// What an access does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Intent {
    /// Reads data.
    Read,
    /// Writes data.
    Write,
    /// Fetches an instruction.
    Execute,
}

/// An access to ask about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Request {
    /// Whether it is unprivileged: from user mode (PL0), or by LDRT and STRT.
    pub user: bool,
    /// What it does.
    pub intent: Intent,
}

impl Request {
    /// Every access.
    pub const ALL: [Self; 6] = [
        Self::kernel(Intent::Read),
        Self::kernel(Intent::Write),
        Self::kernel(Intent::Execute),
        Self::user(Intent::Read),
        Self::user(Intent::Write),
        Self::user(Intent::Execute),
    ];

    /// A privileged access (PL1).
    pub const fn kernel(intent: Intent) -> Self {
        Self { user: false, intent }
    }

    /// An unprivileged access (PL0).
    pub const fn user(intent: Intent) -> Self {
        Self { user: true, intent }
    }
}

bitflags! {
    /// What one privilege level may do with a leaf.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
    pub struct Rights: u8 {
        /// Read data.
        const READ = 1;
        /// Write data.
        const WRITE = 2;
        /// Fetch instructions.
        const EXECUTE = 4;
    }
}

impl From<Intent> for Rights {
    fn from(intent: Intent) -> Self {
        match intent {
            Intent::Read => Self::READ,
            Intent::Write => Self::WRITE,
            Intent::Execute => Self::EXECUTE,
        }
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (right, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::EXECUTE, "x")] {
            f.write_str(if self.contains(right) { letter } else { "-" })?;
        }
        Ok(())
    }
}

/// The rights of both privilege levels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Permissions {
    pub kernel: Rights,
    pub user: Rights,
}

impl Permissions {
    /// Everything for everyone: the MMU is off, or the domain is a manager's.
    pub const ALL: Self = Self { kernel: Rights::all(), user: Rights::all() };
    const NONE: Self = Self { kernel: Rights::empty(), user: Rights::empty() };

    /// AP\[2:1\], the model of long descriptors and of short ones with SCTLR.AFE = 1 (DDI 0406C B3.7.1).
    pub fn from_ap21(ap2: bool, ap1: bool) -> Self {
        let data = if ap2 { Rights::READ } else { Rights::READ | Rights::WRITE };
        Self { kernel: data, user: if ap1 { data } else { Rights::empty() } }
    }

    /// AP\[2:0\], the model of short descriptors with SCTLR.AFE = 0 (B3.7.1). 0b100 is reserved: nothing.
    pub fn from_ap210(ap: u32) -> Self {
        let (r, rw, no) = (Rights::READ, Rights::READ | Rights::WRITE, Rights::empty());
        let (kernel, user) = match ap & 7 {
            0b001 => (rw, no),
            0b010 => (rw, r),
            0b011 => (rw, rw),
            0b101 => (r, no),
            0b110 | 0b111 => (r, r),
            _ => (no, no),
        };
        Self { kernel, user }
    }

    /// Adds execution where the level may read and neither XN, PXN, SCTLR.WXN nor SCTLR.UWXN forbids it
    /// (B3.7.2).
    pub fn with_execution(self, regs: &Regs, xn: bool, pxn: bool) -> Self {
        let grant = |rights: Rights, never: bool| {
            let own_wxn = regs.wxn() && rights.contains(Rights::WRITE);
            let may = rights.contains(Rights::READ) && !xn && !never && !own_wxn;
            if may { rights | Rights::EXECUTE } else { rights }
        };
        let uwxn = regs.uwxn() && self.user.contains(Rights::WRITE);
        Self { kernel: grant(self.kernel, pxn || uwxn), user: grant(self.user, false) }
    }

    /// What DACR makes of it.
    pub fn in_domain(self, domain: Domain) -> Self {
        match domain.access {
            DomainAccess::Client => self,
            DomainAccess::Manager => Self::ALL,
            DomainAccess::None | DomainAccess::Reserved => Self::NONE,
        }
    }
}

/// What DACR says of a domain (DDI 0406C B3.12.3, B4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum DomainAccess {
    /// Every access is a domain fault.
    None,
    /// Permissions are checked.
    Client,
    /// Reserved; taken as no access.
    Reserved,
    /// Permissions are not checked, nor is execute-never.
    Manager,
}

/// The domain of a short descriptor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Domain {
    /// 0 to 15.
    pub number: u8,
    /// What DACR says of it.
    pub access: DomainAccess,
}

impl Domain {
    /// Domain `number` (its low 4 bits) under DACR.
    pub(super) const fn new(regs: &Regs, number: u32) -> Self {
        let number = number & 0xf;
        let access = match regs.dacr >> (2 * number) & 3 {
            0b00 => DomainAccess::None,
            0b01 => DomainAccess::Client,
            0b10 => DomainAccess::Reserved,
            _ => DomainAccess::Manager,
        };
        Self { number: number as u8, access }
    }

    /// Whether every access faults.
    #[inline]
    pub const fn is_closed(&self) -> bool {
        matches!(self.access, DomainAccess::None | DomainAccess::Reserved)
    }
}
