//! Whatever is done to rows of the chain is found, at the first of them that it touches.

use base::{Millis, Secret};
use proptest::prelude::*;

use super::*;

fn seals() -> Seals {
    Seals::new(&[Secret::new("encryption key")])
}

fn entry(number: i64) -> NewEntry {
    NewEntry {
        id: format!("entry-{number}"),
        at: Millis(number),
        how: "key".to_owned(),
        actor_user_id: Some("ada".to_owned()),
        action: "updated".to_owned(),
        object_kind: "key".to_owned(),
        object_id: format!("key-{number}"),
        outcome: "done".to_owned(),
        after: Some(format!("{{\"rpm_limit\":{number}}}")),
        subjects: vec![("team".to_owned(), "red".to_owned())],
        ..NewEntry::default()
    }
}

type Row = (AuditRow, Vec<SubjectRow>);

/// A chain of so many entries, written with a key.
fn chain(seals: &Seals, entries: i64) -> (Vec<Row>, HeadRow) {
    let mut head = HeadRow {
        sequence: 0,
        hash: String::new(),
    };
    let rows = (1..=entries).map(|sequence| {
        let entry = entry(sequence);
        let hash = hash(&head.hash, sequence, &entry);
        let seal = seals.seal(PURPOSE, &hash);
        head = HeadRow {
            sequence,
            hash: hash.clone(),
        };
        row(sequence, entry, hash, seal)
    });
    let rows = rows.collect();
    (rows, head)
}

fn row(sequence: i64, entry: NewEntry, hash: String, seal: String) -> Row {
    let subjects = entry.subjects.into_iter();
    let subjects = subjects.map(|(kind, id)| SubjectRow { sequence, kind, id });
    let subjects = subjects.collect();
    let row = AuditRow {
        sequence,
        id: entry.id,
        at: entry.at,
        how: entry.how,
        actor_user_id: entry.actor_user_id,
        actor_key_id: entry.actor_key_id,
        session_id: entry.session_id,
        changed_by: entry.changed_by,
        client_address: entry.client_address,
        user_agent: entry.user_agent,
        action: entry.action,
        object_kind: entry.object_kind,
        object_id: entry.object_id,
        outcome: entry.outcome,
        reason: entry.reason,
        before: entry.before,
        after: entry.after,
        hash,
        seal,
    };
    (row, subjects)
}

fn walk(rows: &[Row], head: &HeadRow, expected: Option<&str>) -> Result<(), Break> {
    let seals = seals();
    let mut walk = Walk {
        expected: expected.map(str::to_owned),
        ..Walk::default()
    };
    for (row, subjects) in rows {
        if let Some(broken) = walk.step(&seals, row.clone(), subjects) {
            return Err(broken);
        }
    }
    let missing = Break {
        sequence: walk.sequence + 1,
        fault: Fault::Missing,
    };
    walk.end(head).unwrap_or(Err(missing))
}

/// Changes one column, whichever.
fn change(row: &mut Row, column: usize) {
    let (entry, subjects) = row;
    let other = |text: &mut Option<String>| {
        *text = match text.take() {
            None => Some(String::new()),
            Some(text) => Some(text + "x"),
        }
    };
    match column {
        0 => entry.id.push('x'),
        1 => entry.at.0 += 1,
        2 => entry.how = "system".to_owned(),
        3 => other(&mut entry.actor_user_id),
        4 => other(&mut entry.actor_key_id),
        5 => other(&mut entry.session_id),
        6 => other(&mut entry.changed_by),
        7 => other(&mut entry.client_address),
        8 => other(&mut entry.user_agent),
        9 => entry.action.push('x'),
        10 => entry.object_kind.push('x'),
        11 => entry.object_id.push('x'),
        12 => entry.outcome = "refused".to_owned(),
        13 => other(&mut entry.reason),
        14 => other(&mut entry.before),
        15 => other(&mut entry.after),
        16 => entry.hash = "0".repeat(64),
        17 => entry.seal.push('0'),
        18 => subjects.clear(),
        19 => subjects[0].id.push('x'),
        _ => {
            let sequence = entry.sequence;
            let kind = "user".to_owned();
            let id = "eve".to_owned();
            subjects.push(SubjectRow { sequence, kind, id });
        }
    }
}

#[test]
fn a_chain_as_it_was_written_is_whole() {
    for entries in [0, 1, 2, 30] {
        let (rows, head) = chain(&seals(), entries);
        assert_eq!(walk(&rows, &head, None), Ok(()), "{entries}");
        for (row, _) in &rows {
            assert_eq!(walk(&rows, &head, Some(&row.hash)), Ok(()));
        }
    }
}

proptest! {
    #[test]
    fn a_change_of_any_column_is_found_at_its_row(at in 0_usize..12, column in 0_usize..21) {
        let (mut rows, head) = chain(&seals(), 12);
        change(&mut rows[at], column);
        let broken = walk(&rows, &head, None).unwrap_err();
        prop_assert_eq!(broken.sequence, i64::try_from(at).unwrap() + 1);
    }

    #[test]
    fn a_removed_row_is_found(at in 0_usize..12) {
        let (mut rows, head) = chain(&seals(), 12);
        rows.remove(at);
        let broken = walk(&rows, &head, None).unwrap_err();
        prop_assert_eq!(broken.sequence, i64::try_from(at).unwrap() + 1);
        prop_assert_eq!(broken.fault, Fault::Missing);
    }

    #[test]
    fn a_removed_row_is_found_when_the_others_are_numbered_anew(at in 0_usize..11) {
        let (mut rows, head) = chain(&seals(), 12);
        rows.remove(at);
        number(&mut rows);
        let broken = walk(&rows, &head, None).unwrap_err();
        prop_assert_eq!(broken.sequence, i64::try_from(at).unwrap() + 1);
    }

    #[test]
    fn an_inserted_row_is_found(at in 0_usize..13) {
        let (mut rows, head) = chain(&seals(), 12);
        let previous = at.checked_sub(1).map_or("", |before| rows[before].0.hash.as_str());
        let sequence = i64::try_from(at).unwrap() + 1;
        let forged = NewEntry { id: "forged".to_owned(), ..entry(99) };
        // the attacker knows how hashes are made, and has no key
        let hash = hash(previous, sequence, &forged);
        let seal = Seals::new(&[Secret::new("another key")]).seal(PURPOSE, &hash);
        rows.insert(at, row(sequence, forged, hash, seal));
        number(&mut rows);
        let broken = walk(&rows, &head, None).unwrap_err();
        prop_assert_eq!(broken.sequence, sequence);
    }

    #[test]
    fn swapped_rows_are_found(one in 0_usize..12, other in 0_usize..12) {
        prop_assume!(one != other);
        let (mut rows, head) = chain(&seals(), 12);
        rows.swap(one, other);
        number(&mut rows);
        let broken = walk(&rows, &head, None).unwrap_err();
        prop_assert_eq!(broken.sequence, i64::try_from(one.min(other)).unwrap() + 1);
    }

    #[test]
    fn a_cut_is_found_by_the_end_and_by_a_hash_that_was_kept(length in 0_usize..12) {
        let (mut rows, head) = chain(&seals(), 12);
        rows.truncate(length);
        prop_assert!(walk(&rows, &head, None).is_err());
        // the attacker moves the end as well
        let moved = HeadRow {
            sequence: i64::try_from(length).unwrap(),
            hash: rows.last().map_or_else(String::new, |(row, _)| row.hash.clone()),
        };
        prop_assert_eq!(walk(&rows, &moved, None), Ok(()));
        let broken = walk(&rows, &moved, Some(&head.hash)).unwrap_err();
        prop_assert_eq!(broken.fault, Fault::Expected);
    }
}

fn number(rows: &mut [Row]) {
    for (sequence, (row, subjects)) in (1..).zip(rows) {
        row.sequence = sequence;
        for subject in subjects {
            subject.sequence = sequence;
        }
    }
}

#[test]
fn a_chain_that_was_computed_anew_without_the_key_is_found() {
    let forger = Seals::new(&[Secret::new("another key")]);
    let (rows, head) = chain(&forger, 5);
    let broken = walk(&rows, &head, None).unwrap_err();
    assert_eq!((broken.sequence, broken.fault), (1, Fault::UnknownKey));
    // with the name of the right key
    let right = seals().seal(PURPOSE, "");
    let (id, _) = right.split_once('.').unwrap();
    let renamed = rows.into_iter().map(|(mut row, subjects)| {
        let (_, proof) = row.seal.split_once('.').unwrap();
        row.seal = format!("{id}.{proof}");
        (row, subjects)
    });
    let renamed: Vec<Row> = renamed.collect();
    let broken = walk(&renamed, &head, None).unwrap_err();
    assert_eq!((broken.sequence, broken.fault), (1, Fault::Forged));
}

#[test]
fn parts_of_an_entry_cannot_be_shifted_into_each_other() {
    let first = NewEntry {
        action: "ab".to_owned(),
        object_kind: "c".to_owned(),
        ..entry(1)
    };
    let second = NewEntry {
        action: "a".to_owned(),
        object_kind: "bc".to_owned(),
        ..entry(1)
    };
    assert_ne!(hash("", 1, &first), hash("", 1, &second));
    let none = NewEntry {
        reason: None,
        ..entry(1)
    };
    let empty = NewEntry {
        reason: Some(String::new()),
        ..entry(1)
    };
    assert_ne!(hash("", 1, &none), hash("", 1, &empty));
}
