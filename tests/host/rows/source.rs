//! What no host can run and no emulator shows: assembly, checked as it is written. The order of the instructions is
//! the manual's (DDI 0406C, by section).

use std::fs;
use std::path::Path;

/// A file of the repository, without comments.
fn code(path: &str) -> String {
    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let source = fs::read_to_string(&whole).unwrap_or_else(|error| panic!("{path}: {error}"));
    source
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n")
        .collect()
}

/// What stands between `from` and the next `to`.
fn between<'a>(code: &'a str, from: &str, to: &str) -> &'a str {
    let start = code.find(from).unwrap_or_else(|| panic!("no {from}")) + from.len();
    let rest = &code[start..];
    &rest[..rest.find(to).unwrap_or_else(|| panic!("no {to} behind {from}"))]
}

/// Which of `words` stand in `code`, in the order in which they do.
fn order<'a>(code: &str, words: &[&'a str]) -> Vec<&'a str> {
    let found = words.iter().flat_map(|word| code.match_indices(word).map(|(at, _)| (at, *word)));
    let mut found: Vec<_> = found.collect();
    found.sort_unstable();
    found.into_iter().map(|(_, word)| word).collect()
}

/// The compiler keeps memory accesses on their side of every instruction that changes what they mean.
#[test]
fn b12_no_assembly_is_said_to_touch_no_memory() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/armv7");
    let mut blocks = 0;
    for file in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()) {
        let path = format!("src/armv7/{}", file.to_str().unwrap());
        let code = code(&path);
        blocks += code.matches("asm!(").count();
        for option in ["nomem", "pure"] {
            assert!(!code.contains(option), "{path}: {option}");
        }
    }
    assert!(blocks > 10, "only {blocks} blocks of assembly found");
}

/// New code: cleaned, complete, invalidated, complete again, and only then fetched (B2.2.9, A3.5.4).
#[test]
fn b53_code_is_published_in_order() {
    let cache = code("src/armv7/cache.rs");
    let body = between(&cache, "pub fn publish_code", "\n}");
    let words =
        ["clean_to_unification(", "ICIMVAU::write", "forget_predictions()", "dsb(ISH)", "isb()"];
    assert_eq!(
        order(body, &words),
        ["clean_to_unification(", "ICIMVAU::write", "forget_predictions()", "dsb(ISH)", "isb()"]
    );
    let body = between(&cache, "pub fn clean_to_unification", "\n}");
    assert_eq!(order(body, &["DCCMVAU::write", "dsb(ISH)"]), ["DCCMVAU::write", "dsb(ISH)"]);
}

/// The root and, under LPAE, the ASID change by one write, behind a DSB and before an ISB (B3.10.4).
#[test]
fn r13_one_write_brings_the_root() {
    let mmu = code("src/armv7/mmu.rs");
    let body = between(&mmu, "pub unsafe fn set_root", "\n}");
    let words = ["dsb(ISH)", "set_ttbr0(", "CONTEXTIDR::write", "isb()"];
    assert_eq!(order(body, &words), ["dsb(ISH)", "set_ttbr0(", "isb()"]);
    let body = between(&mmu, "unsafe fn set_ttbr0", "\n}");
    let words = ["TTBR0_64::write", "TTBR0::write", "CONTEXTIDR::write", "isb()"];
    assert_eq!(order(body, &words), ["TTBR0_64::write", "TTBR0::write"]);
}

/// A coprocessor register by the operands of its MCR or MCRR, the transfer registers left out.
fn register(operands: &str) -> &'static str {
    match operands {
        "0 c1 c0 0" => "SCTLR",
        "0 c1 c0 1" => "ACTLR",
        "0 c2" | "0 c2 c0 0" => "TTBR0",
        "1 c2" | "0 c2 c0 1" => "TTBR1",
        "0 c2 c0 2" => "TTBCR",
        "0 c3 c0 0" => "DACR",
        "0 c7 c5 0" => "ICIALLU",
        "0 c7 c5 6" => "BPIALL",
        "0 c7 c6 1" => "DCIMVAC",
        "0 c7 c6 2" => "DCISW",
        "0 c7 c14 2" => "DCCISW",
        "0 c8 c7 0" => "TLBIALL",
        "0 c10 c2 0" => "PRRR",
        "0 c10 c2 1" => "NMRR",
        "0 c12 c0 0" => "VBAR",
        "0 c13 c0 1" => "CONTEXTIDR",
        "2 c0 c0 0" => "CSSELR",
        _ => "another",
    }
}

/// The instructions of assembly, labels left out: mnemonic and operands.
fn instructions(code: &str) -> impl Iterator<Item = (&str, &str)> {
    code.lines().map(|line| {
        let line = line.rsplit(':').next().unwrap_or_default().trim();
        line.split_once(char::is_whitespace).map_or((line, ""), |(name, rest)| (name, rest.trim()))
    })
}

/// Which registers `code` writes, and its barriers, in order.
fn writes(code: &str) -> Vec<&'static str> {
    let step = |(mnemonic, operands): (&str, &str)| match mnemonic {
        "dsb" => Some("dsb"),
        "isb" => Some("isb"),
        "mcr" | "mcreq" | "mcrne" | "mcrr" => {
            let parts = operands.split(',').map(str::trim);
            let kept = parts.filter(|part| *part != "p15" && !part.starts_with('r'));
            Some(register(&kept.collect::<Vec<_>>().join(" ")))
        }
        _ => None,
    };
    instructions(code).filter_map(step).collect()
}

/// A routine of the library's in assembly: what stands between its label and the end of the last `end` behind it. Each
/// line is a string there.
fn routine(path: &str, label: &str, end: &str) -> String {
    let code = code(path);
    let lines = between(&code, &format!("\"{label}:\""), &format!("\"{end}\""));
    lines
        .lines()
        .map(|line| line.replace(['"'], "").trim().trim_end_matches(',').to_owned() + "\n")
        .collect()
}

const START: &str = "src/armv7/start.rs";
const SECONDARY: &str = "src/armv7/secondary.rs";

/// Nothing from before is believed, every register that decides how a walk goes is written, and only then the MMU
/// goes on (B3.2.4). Under LPAE TTBCR.EAE comes first, for it decides what the next writes mean.
#[test]
fn b55_r14_r15_r25_the_mmu_goes_on_last() {
    let head = code("boot/src/head.S");
    let forgotten = ["ICIALLU", "BPIALL", "TLBIALL", "dsb", "isb", "CONTEXTIDR", "TTBCR", "isb"];
    // One for each format.
    let first = ["TTBR0", "TTBR0", "DACR", "PRRR", "NMRR", "isb", "SCTLR", "isb"];
    assert_eq!(writes(between(&head, "turn_on:", "high:")), [forgotten, first].concat());
    let before = writes(between(&head, "placed:", "turn_on:"));
    assert!(!before.contains(&"SCTLR"), "on nowhere else: {before:?}");

    let other = routine(SECONDARY, "armv7a_mm_secondary", "bx r12");
    let later = ["TTBR0", "TTBR1", "TTBR0", "TTBR1", "DACR", "PRRR", "NMRR", "isb"];
    // The abort after the last of these is the way on.
    let on = ["VBAR", "isb", "SCTLR", "isb"];
    assert_eq!(writes(&other), [&forgotten[..], &later, &on].concat());
}

/// Caches are invalidated by set and way once, while they are off, and the CPU joins coherency before they go on.
#[test]
fn r25_r27_caches_are_clean_and_coherent_before_they_are_on() {
    let off = routine(START, "armv7a_mm_caches_off", "bx lr");
    assert_eq!(writes(&off), ["SCTLR", "isb", "CSSELR", "isb", "DCISW", "DCCISW", "dsb"]);
    let join = routine(START, "armv7a_mm_join_coherency", "bx r3");
    assert_eq!(writes(&join), ["ACTLR", "isb"]);

    let head = code("boot/src/head.S");
    let before = between(&head, "placed:", "turn_on:");
    let calls = ["{CACHES_OFF}", "{JOIN_COHERENCY}"];
    assert_eq!(order(before, &calls), calls);
    assert_eq!(writes(before), ["DCIMVAC", "dsb", "dsb", "dsb"]);
    let other = routine(SECONDARY, "armv7a_mm_secondary", "bx r12");
    let calls =
        ["bl armv7a_mm_to_svc", "bl armv7a_mm_caches_off", "bl armv7a_mm_join_coherency", "mcr"];
    assert_eq!(order(&other, &calls)[..4], calls);
}

/// A CPU that leaves has its cache clean before it stops to take part in coherency, and goes nowhere before.
#[test]
fn r27_a_cpu_leaves_clean() {
    let leave = routine(SECONDARY, "armv7a_mm_leave", "bx r8");
    let calls = ["bl armv7a_mm_caches_off", "bl armv7a_mm_coherency_bits"];
    assert_eq!(order(&leave, &calls), calls);
    let wanted = ["SCTLR", "isb", "ACTLR", "isb", "TLBIALL", "BPIALL", "dsb", "isb"];
    assert_eq!(writes(&leave), wanted);
}

/// A CPU that starts writes no memory, so it cannot build tables again that others use, nor use any that are
/// half built: it has no store before its entry, and ends up in the tables that it was told of.
#[test]
fn b59_a_cpu_that_starts_stores_nothing() {
    for (path, least) in [(START, 50), (SECONDARY, 50)] {
        let code = code(path);
        let all = between(&code, "global_asm!(", "\n);").replace('"', "");
        assert!(instructions(&all).filter(|(mnemonic, _)| !mnemonic.is_empty()).count() > least);
        let stores = instructions(&all).filter(|(mnemonic, _)| {
            ["str", "stm", "push", "vst"].iter().any(|store| mnemonic.starts_with(store))
        });
        assert_eq!(stores.count(), 0, "{path}");
    }
    let high = routine(SECONDARY, ".Larmv7a_mm_secondary_vectors", "bx r9");
    assert_eq!(writes(&high), ["VBAR", "SCTLR", "TLBIALL", "BPIALL", "dsb", "isb"]);
}

/// What a CPU reads before it is coherent is in memory when it starts, and maintenance reaches it from then on.
#[test]
fn b61_tables_are_clean_before_a_cpu_starts() {
    let publish = code(SECONDARY);
    let body = between(&publish, "pub fn publish", "\n    }\n}");
    let words = ["flush_to_coherency(", "walk::trace(", "dsb(SY)"];
    let wanted = ["flush_to_coherency(", "walk::trace(", "flush_to_coherency(", "dsb(SY)"];
    assert_eq!(order(body, &words), wanted);
    let team = code("boot/src/team.rs");
    let gather = between(&team, "pub fn gather", "\n    }\n");
    let steps = ["set_smp(true)", "team.start("];
    assert_eq!(order(gather, &steps), steps);
    let start = between(&team, "fn start(", "\n    }\n");
    let steps = [".publish(", "cpus::start("];
    assert_eq!(order(start, &steps), steps);
}

/// Hyp mode cannot name its own SPSR so (B9.3.10).
#[test]
fn b54_hyp_mode_names_its_spsr_as_spsr() {
    let from_hyp = routine(START, ".Larmv7a_mm_from_hyp", "eret");
    assert!(from_hyp.contains("spsr_cxsf") && !from_hyp.contains("spsr_hyp"));
}

/// Whatever was in the register, the early tables' entries have the high word that their format says.
#[test]
fn b58_every_early_entry_has_its_high_word() {
    let head = code("boot/src/head.S");
    let body = between(&head, "placed:", "turn_on:");
    let (mut high, mut entries) = ("never written", Vec::new());
    for (mnemonic, operands) in instructions(body) {
        if mnemonic == "put" {
            entries.push(high);
        } else if operands.starts_with("r3,") && mnemonic != "str" {
            high = operands;
        }
    }
    // The kernel, the two of the device tree, this code itself.
    assert_eq!(entries, ["r3, #0", "r3, {WINDOW_HIGH}", "r3, {WINDOW_HIGH}", "r3, #0"]);
}
