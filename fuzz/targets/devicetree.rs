//! Any bytes as a device tree: reading ends, and what it finds is in order.
#![no_main]

use devicetree::{MAX_CPUS, Range, cpus, device, memory, psci};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = device(bytes, &["arm,pl011", "ns16550a", ""]);
    let _ = psci(bytes);
    if let Ok(cpus) = cpus(bytes) {
        assert!(cpus.as_slice().len() <= MAX_CPUS);
    }
    let Ok(found) = memory(bytes) else { return };
    let all = found.as_slice();
    assert!(!all.is_empty());
    let (mut last, mut total) = (None, 0);
    for Range { base, bytes } in all {
        let end = base.checked_add(*bytes).expect("in 40 bits");
        assert!(*bytes > 0 && (base | bytes) % 4096 == 0 && end <= 1 << 40);
        assert!(last.is_none_or(|last| last < *base), "out of order, or not merged");
        last = Some(end);
        total += bytes;
        let hole = Range { base: base + 4096, bytes: 4096 };
        if let Some(rest) = (Range { base: *base, bytes: *bytes }).largest_outside(&[hole]) {
            assert!(rest.base >= *base && rest.base + rest.bytes <= end);
            assert!(rest.base >= hole.base + hole.bytes || rest.base + rest.bytes <= hole.base);
        }
    }
    assert_eq!(found.bytes(), total);
});
