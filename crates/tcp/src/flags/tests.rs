use std::collections::BTreeMap;

use super::*;

fn all() -> impl Iterator<Item = Flags> {
    (0..512).map(Flags::from_bits)
}

fn classic() -> impl Iterator<Item = Flags> {
    (0..64).map(Flags::from_bits)
}

fn flags(text: &str) -> Flags {
    text.parse().unwrap()
}

fn with_verdict(verdict: Verdict) -> Vec<String> {
    classic().filter(|flags| flags.legality().verdict == verdict).map(|flags| flags.to_string()).collect()
}

#[test]
fn every_combination_reads_back_as_it_prints() {
    for flags in all() {
        assert_eq!(flags.to_string().parse(), Ok(flags), "{flags}");
        assert_eq!(flags.tcpdump().parse(), Ok(flags), "{flags} as {}", flags.tcpdump());
        assert_eq!(format!("[{}]", flags.tcpdump()).parse(), Ok(flags));
        assert_eq!(flags.iter().collect::<Flags>(), flags);
    }
}

#[test]
fn flags_print_in_the_order_engineers_write() {
    for text in ["SYN+ACK", "FIN+ACK", "PSH+ACK", "RST+ACK", "FIN+PSH+ACK", "SYN+ECE+CWR", "none"] {
        assert_eq!(flags(text).to_string(), text);
    }
}

#[test]
fn every_spelling_is_understood() {
    for text in [
        "SYN+ACK", "syn,ack", "SYN|ACK", "SYN/ACK", "SYN-ACK", "syn ack", "SYNACK", "synack", "SA", "S.",
        "[S.]", "AS",
    ] {
        assert_eq!(flags(text), Flags::SYN | Flags::ACK, "{text}");
    }
    assert_eq!(flags("F."), Flags::FIN | Flags::ACK);
    assert_eq!(flags("R"), Flags::RST);
    assert_eq!(flags("P."), Flags::PSH | Flags::ACK);
    assert_eq!(flags("[.]"), Flags::ACK);
    assert_eq!(flags("[SEW]"), Flags::SYN | Flags::ECE | Flags::CWR);
    assert_eq!(flags("[.e]"), Flags::ACK | Flags::AE);
    assert_eq!(flags("se"), Flags::SYN | Flags::ECE);
    assert_eq!(flags("AE"), Flags::AE);
    assert_eq!(flags("NS"), Flags::AE);
    assert_eq!(flags("null"), Flags::NONE);
    assert_eq!(flags("none"), Flags::NONE);
    assert_eq!(flags("Xmas"), Flags::FIN | Flags::PSH | Flags::URG);
}

#[test]
fn a_typing_error_gets_the_nearest_combination() {
    for (text, nearest) in
        [("SIN+ACK", "SYN+ACK"), ("FINN", "FIN"), ("SYNAKC", "SYN+ACK"), ("xmass", "xmas"), ("RTS", "RST")]
    {
        let error = text.parse::<Flags>().unwrap_err();
        assert_eq!(error.nearest(), flags(nearest), "{text}");
        assert_eq!(error.text(), text);
    }
    assert_eq!(
        "SIN+ACK".parse::<Flags>().unwrap_err().to_string(),
        "`SIN+ACK` is not a combination of TCP flags; did you mean SYN+ACK?"
    );
    for text in ["", "  ", "[]", "+", "é", "FIN_WAIT1"] {
        assert!(text.parse::<Flags>().is_err(), "{text:?}");
    }
}

#[test]
fn the_legal_combinations_are_these_eight() {
    let mut legal = with_verdict(Verdict::Legal);
    legal.sort();
    assert_eq!(legal, ["ACK", "FIN+ACK", "FIN+PSH+ACK", "PSH+ACK", "RST", "RST+ACK", "SYN", "SYN+ACK"]);
}

#[test]
fn the_unusual_combinations_are_these_sixteen() {
    let mut unusual = with_verdict(Verdict::Unusual);
    unusual.sort();
    assert_eq!(
        unusual,
        [
            "ACK+URG",
            "FIN+ACK+URG",
            "FIN+PSH+ACK+URG",
            "PSH+ACK+URG",
            "RST+ACK+URG",
            "RST+PSH",
            "RST+PSH+ACK",
            "RST+PSH+ACK+URG",
            "RST+PSH+URG",
            "RST+URG",
            "SYN+ACK+URG",
            "SYN+PSH",
            "SYN+PSH+ACK",
            "SYN+PSH+ACK+URG",
            "SYN+PSH+URG",
            "SYN+URG",
        ]
    );
    assert_eq!(with_verdict(Verdict::Illegal).len(), 64 - 8 - 16);
}

/// The classes of all 512, reasoned out a second time flag by flag.
#[test]
fn every_combination_has_the_class_its_flags_spell() {
    for flags in all() {
        let has = |flag| flags.contains(flag);
        let ecn = (has(Flags::AE), has(Flags::CWR), has(Flags::ECE));
        let text_control = has(Flags::PSH) || has(Flags::URG);
        let expected = match (has(Flags::SYN), has(Flags::RST), has(Flags::FIN), has(Flags::ACK)) {
            (true, _, true, _) => FlagsClass::SynFin,
            (true, true, false, _) => FlagsClass::SynRst,
            (false, true, true, _) => FlagsClass::RstFin,
            (false, true, false, ack) => match (text_control || ecn != (false, false, false), ack) {
                (true, _) => FlagsClass::ResetWithExtras,
                (false, true) => FlagsClass::ResetAck,
                (false, false) => FlagsClass::Reset,
            },
            (true, false, false, _) if text_control => FlagsClass::SynWithExtras,
            (true, false, false, false) => match ecn {
                (false, false, false) => FlagsClass::Syn,
                (false, true, true) => FlagsClass::EcnSetupSyn,
                (true, true, true) => FlagsClass::AccEcnSetupSyn,
                _ => FlagsClass::SynWithOddEcn,
            },
            (true, false, false, true) => match ecn {
                (false, false, false) => FlagsClass::SynAck,
                (false, false, true) => FlagsClass::EcnSetupSynAck,
                (false, true, _) | (true, _, false) => FlagsClass::AccEcnSetupSynAck,
                (true, _, true) => FlagsClass::SynAckWithOddEcn,
            },
            (false, false, true, false) if has(Flags::XMAS) => FlagsClass::Xmas,
            (false, false, true, false) => FlagsClass::FinWithoutAck,
            (false, false, false, false) if text_control => FlagsClass::NoAck,
            (false, false, false, false) => FlagsClass::Null,
            (false, false, fin, true) => {
                if has(Flags::URG) {
                    FlagsClass::Urgent
                } else if has(Flags::AE) {
                    FlagsClass::AccEcnCounter
                } else if has(Flags::ECE) || has(Flags::CWR) {
                    FlagsClass::EcnSignal
                } else if fin {
                    FlagsClass::FinAck
                } else if has(Flags::PSH) {
                    FlagsClass::PushAck
                } else {
                    FlagsClass::Ack
                }
            }
        };
        assert_eq!(flags.legality().class, expected, "{flags}");
    }
}

#[test]
fn syn_with_fin_is_never_legal_whatever_else_is_set() {
    for flags in all().filter(|flags| flags.contains(Flags::SYN | Flags::FIN)) {
        assert_eq!(flags.legality().verdict, Verdict::Illegal, "{flags}");
        assert_eq!(flags.legality().class, FlagsClass::SynFin, "{flags}");
    }
}

#[test]
fn congestion_flags_never_mend_what_is_illegal() {
    for flags in all() {
        let without = flags.intersection(Flags::CLASSIC).legality().verdict;
        if without == Verdict::Illegal {
            assert_eq!(flags.legality().verdict, Verdict::Illegal, "{flags}");
        } else {
            assert!(flags.legality().verdict >= without, "{flags}");
        }
    }
}

#[test]
fn each_row_of_the_table_decides_something_and_a_class_has_one_verdict() {
    let mut verdicts = BTreeMap::new();
    for (index, row) in FlagRule::ALL.iter().enumerate() {
        let decides = all()
            .filter(|flags| FlagRule::ALL.iter().position(|row| row.fits(*flags)) == Some(index))
            .count();
        assert!(decides > 0, "row {index}, {}, is hidden by rows above", row.class);
        assert_eq!(*verdicts.entry(row.class).or_insert(row.verdict), row.verdict, "{}", row.class);
    }
    assert!(all().all(|flags| FlagRule::ALL.iter().any(|row| row.fits(flags))));
}
