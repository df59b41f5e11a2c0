//! The chain of the audit log: each entry's hash is over the hash before it and all that the entry says,
//! so that no entry can be changed, removed, put in between or moved without the rest showing it.
//!
//! Anybody can check the hashes. The seals beside them need the encryption key: they show a chain that
//! somebody with the database alone has computed anew. What neither shows is that the newest entries are
//! missing together with the log's end; a hash that was kept elsewhere does.

use base::Result;
use sha2::{Digest as _, Sha256};
use store::audit::{AuditRow, HeadRow, NewEntry, SubjectRow};
use store::{Db, Tx};

use crate::seals::{Check, Seals, hex};
use crate::storage;

/// What the seals of entries are for.
const PURPOSE: &str = "audit";
/// Begins what is hashed, so that another form of it would have other hashes.
const VERSION: &str = "tollgate/audit/v1";
/// How many entries are checked at a time.
const BATCH: i64 = 500;

/// Writes what was noted in a transaction to the end of the log.
pub(crate) async fn write(seals: &Seals, tx: &mut Tx) -> Result<()> {
    let entries = tx.take_entries();
    if entries.is_empty() {
        return Ok(());
    }
    let mut head = store::audit::lock_head(tx).await.map_err(storage)?;
    for mut entry in entries {
        clean(&mut entry);
        let sequence = head.sequence + 1;
        let hash = hash(&head.hash, sequence, &entry);
        let seal = seals.seal(PURPOSE, &hash);
        store::audit::append(tx, &entry, sequence, &hash, &seal)
            .await
            .map_err(storage)?;
        head = HeadRow { sequence, hash };
    }
    store::audit::move_head(tx, head.sequence, &head.hash)
        .await
        .map_err(storage)
}

/// Makes an entry what the database will give back: it keeps no U+0000, and each subject once.
fn clean(entry: &mut NewEntry) {
    let texts = [
        &mut entry.id,
        &mut entry.how,
        &mut entry.action,
        &mut entry.object_kind,
        &mut entry.object_id,
        &mut entry.outcome,
    ];
    let optional = [
        &mut entry.actor_user_id,
        &mut entry.actor_key_id,
        &mut entry.session_id,
        &mut entry.changed_by,
        &mut entry.client_address,
        &mut entry.user_agent,
        &mut entry.reason,
        &mut entry.before,
        &mut entry.after,
    ];
    let subjects = entry.subjects.iter_mut();
    let subjects = subjects.flat_map(|(kind, id)| [kind, id]);
    let optional = optional.into_iter().flatten();
    for text in texts.into_iter().chain(optional).chain(subjects) {
        if text.contains('\0') {
            *text = text.replace('\0', "\u{FFFD}");
        }
    }
    entry.subjects.sort_unstable();
    entry.subjects.dedup();
}

/// The hash of an entry at a place of the chain, in lower-case hex: SHA-256 over the hash before it
/// and the entry, every part with its length.
pub fn hash(previous: &str, sequence: i64, entry: &NewEntry) -> String {
    let mut hasher = Hasher(Sha256::new());
    hasher.text(VERSION);
    hasher.text(previous);
    hasher.0.update(sequence.to_be_bytes());
    hasher.text(&entry.id);
    hasher.0.update(entry.at.0.to_be_bytes());
    hasher.text(&entry.how);
    hasher.optional(entry.actor_user_id.as_deref());
    hasher.optional(entry.actor_key_id.as_deref());
    hasher.optional(entry.session_id.as_deref());
    hasher.optional(entry.changed_by.as_deref());
    hasher.optional(entry.client_address.as_deref());
    hasher.optional(entry.user_agent.as_deref());
    hasher.text(&entry.action);
    hasher.text(&entry.object_kind);
    hasher.text(&entry.object_id);
    hasher.text(&entry.outcome);
    hasher.optional(entry.reason.as_deref());
    hasher.optional(entry.before.as_deref());
    hasher.optional(entry.after.as_deref());
    for (kind, id) in &entry.subjects {
        hasher.text(kind);
        hasher.text(id);
    }
    hex(&hasher.0.finalize())
}

struct Hasher(Sha256);

impl Hasher {
    fn text(&mut self, text: &str) {
        let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.0.update(length.to_be_bytes());
        self.0.update(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.0.update([u8::from(text.is_some())]);
        self.text(text.unwrap_or_default());
    }
}

/// What a check of the whole chain has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry is as it was written.
    Whole {
        entries: i64,
        /// The hash of the last entry; empty where there is none.
        head: String,
        /// How many entries are older than the chain, and vouched for by nothing.
        before_chain: i64,
    },
    Broken(Break),
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The number of the entry.
    pub sequence: i64,
    pub fault: Fault,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there, but later ones are, or the log's end says that it was.
    Missing,
    /// It says something else than when it was written, or follows another entry.
    Changed,
    /// It is beyond the log's end.
    Beyond,
    /// The log's end has another hash.
    End,
    /// The chain was computed by somebody without the encryption key.
    Forged,
    /// It was written with an encryption key that is not configured.
    UnknownKey,
    /// No entry has the hash that was expected.
    Expected,
}

impl std::fmt::Display for Break {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = self.sequence;
        match self.fault {
            Fault::Missing => write!(f, "entry {at} is missing"),
            Fault::Changed => write!(f, "entry {at} is not what was written"),
            Fault::Beyond => write!(f, "entry {at} is beyond the end of the log"),
            Fault::End => write!(f, "the end of the log is not entry {at} as it stands"),
            Fault::Forged => write!(f, "entry {at} was written without the encryption key"),
            Fault::UnknownKey => write!(
                f,
                "entry {at} was written with an encryption key that is not configured; add it to \
                 TOLLGATE_ENCRYPTION_KEY, after the newest"
            ),
            Fault::Expected => write!(
                f,
                "no entry up to {at} has the expected hash: the log was cut off or replaced"
            ),
        }
    }
}

/// Where a check stands.
#[derive(Debug, Default)]
struct Walk {
    sequence: i64,
    hash: String,
    expected: Option<String>,
}

impl Walk {
    /// Checks the next entry.
    fn step(&mut self, seals: &Seals, row: AuditRow, subjects: &[SubjectRow]) -> Option<Break> {
        let sequence = self.sequence + 1;
        let broken = |fault| Some(Break { sequence, fault });
        if row.sequence != sequence {
            return broken(Fault::Missing);
        }
        let (written, seal) = (row.hash.clone(), row.seal.clone());
        let entry = entry_of(row, subjects);
        if hash(&self.hash, sequence, &entry) != written {
            return broken(Fault::Changed);
        }
        match seals.check(PURPOSE, &written, &seal) {
            Check::Right => {}
            Check::Wrong => return broken(Fault::Forged),
            Check::UnknownKey => return broken(Fault::UnknownKey),
        }
        self.expected = self.expected.take().filter(|hash| *hash != written);
        (self.sequence, self.hash) = (sequence, written);
        None
    }

    /// Checks where the log ends. `None`: it has grown meanwhile.
    fn end(&self, head: &HeadRow) -> Option<Result<(), Break>> {
        let broken = |sequence, fault| Some(Err(Break { sequence, fault }));
        match head.sequence.cmp(&self.sequence) {
            std::cmp::Ordering::Greater => None,
            std::cmp::Ordering::Less => broken(head.sequence.max(0) + 1, Fault::Beyond),
            std::cmp::Ordering::Equal if head.hash != self.hash => {
                broken(self.sequence, Fault::End)
            }
            std::cmp::Ordering::Equal if self.expected.is_some() => {
                broken(self.sequence, Fault::Expected)
            }
            std::cmp::Ordering::Equal => Some(Ok(())),
        }
    }
}

fn entry_of(row: AuditRow, subjects: &[SubjectRow]) -> NewEntry {
    NewEntry {
        id: row.id,
        at: row.at,
        how: row.how,
        actor_user_id: row.actor_user_id,
        actor_key_id: row.actor_key_id,
        session_id: row.session_id,
        changed_by: row.changed_by,
        client_address: row.client_address,
        user_agent: row.user_agent,
        action: row.action,
        object_kind: row.object_kind,
        object_id: row.object_id,
        outcome: row.outcome,
        reason: row.reason,
        before: row.before,
        after: row.after,
        subjects: subjects
            .iter()
            .map(|subject| (subject.kind.clone(), subject.id.clone()))
            .collect(),
    }
}

/// Checks the whole chain, also while the gateway adds to it. `expected`: the hash of an entry that must
/// be there, as it was kept elsewhere.
///
/// # Errors
/// When the database does not answer.
pub async fn verify(db: &Db, seals: &Seals, expected: Option<&str>) -> Result<Verdict> {
    let before_chain = store::audit::count_before_chain(db)
        .await
        .map_err(storage)?;
    let mut walk = Walk {
        expected: expected.map(str::to_ascii_lowercase),
        ..Walk::default()
    };
    loop {
        let rows = store::audit::list_after(db, walk.sequence, BATCH)
            .await
            .map_err(storage)?;
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            let subjects = store::audit::subjects_between(db, first.sequence, last.sequence)
                .await
                .map_err(storage)?;
            let mut subjects = subjects.as_slice();
            for row in rows {
                let sequence = row.sequence;
                let count = subjects
                    .iter()
                    .take_while(|subject| subject.sequence == sequence)
                    .count();
                let (own, rest) = subjects.split_at(count);
                // what names no entry of the log is passed over by its number alone
                subjects = rest;
                if let Some(broken) = walk.step(seals, row, own) {
                    return Ok(Verdict::Broken(broken));
                }
            }
            if !subjects.is_empty() {
                let sequence = subjects[0].sequence;
                let fault = Fault::Missing;
                return Ok(Verdict::Broken(Break { sequence, fault }));
            }
            continue;
        }
        let head = store::audit::head(db).await.map_err(storage)?;
        match walk.end(&head) {
            Some(Ok(())) => {
                return Ok(Verdict::Whole {
                    entries: walk.sequence,
                    head: walk.hash,
                    before_chain,
                });
            }
            Some(Err(broken)) => return Ok(Verdict::Broken(broken)),
            None => {
                let next = store::audit::list_after(db, walk.sequence, 1)
                    .await
                    .map_err(storage)?;
                if next.is_empty() {
                    let sequence = walk.sequence + 1;
                    let fault = Fault::Missing;
                    return Ok(Verdict::Broken(Break { sequence, fault }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
