//! Six cases in which a pgd and swapper meet, on the machine itself: see the host tests of the same name.

mod identity;
mod placement;
mod unwind;
mod vectors;
mod window;

use crate::harness::Test;

/// The tests.
pub const TESTS: &[Test] = &[
    // First, while swapper has nothing in the window and the private pmd nothing at all.
    Test { name: "thread::1-private-pmd-goes-with-the-pgd", run: window::private },
    Test { name: "thread::1-window-is-filled-in-by-faults", run: window::filled_in },
    Test { name: "thread::2-window-used-by-a-dying-pgd", run: window::dying },
    Test { name: "thread::2-root-entry-copied-into-a-dying-pgd", run: window::dying_root },
    Test { name: "thread::3-identity-mapping-over-kernel-blocks", run: identity::over_blocks },
    Test { name: "thread::3-identity-mapping-over-kernel-pages", run: identity::over_tables },
    Test { name: "thread::3-identity-mappings-cut-blocks", run: identity::sizes_over_blocks },
    Test { name: "thread::3-identity-mappings-cut-tables", run: identity::sizes_over_tables },
    Test { name: "thread::4-low-vectors-are-taken", run: vectors::taken },
    Test { name: "thread::4-low-vectors-outlive-user-mappings", run: vectors::kept },
    Test { name: "thread::5-pgd-alloc-undoes-what-it-did", run: unwind::pgd_alloc },
    Test { name: "thread::5-sealing-undoes-what-it-did", run: unwind::seal },
    Test { name: "thread::6-window-below-page-offset", run: placement::below },
    Test { name: "thread::6-window-at-a-root-border", run: placement::border },
    Test { name: "thread::6-all-pmds-from-birth", run: placement::always },
];
