//! The table as a page for people: `docs/permissions.md`.

use std::fmt::Write as _;

use super::{Door, Operation, TABLE, Tie, Who};

const HEAD: &str = "\
# Who may do what

This page is made from the table in `crates/domain/src/permissions.rs`, by which the gateway admits every request. What is not
in it is denied.

**Who** gets through the door: the master key always does. *Tie*: what one must be to the object (the key, the team, the user …),
unless one administers or sees everything; one of those named is enough. Nobody can give away more than they have.

| word | means |
|---|---|
| open | no key is needed |
| everybody | every valid key and every session |
| admin | `proxy_admin` |
| viewer | `proxy_admin_viewer`: sees all, changes nothing |
| user | `internal_user` |
| user viewer | `internal_user_viewer` |
| no role | a key without a user, or a user without a role |
| organization admin | `org_admin` in an organization, whatever the role |
| spend reader | a key with the permission `get_spend_routes` |
| owner | it is one's own, or oneself |
| member | one is in its team or organization |
| permitted | one is in its team, which lets its members do this |
| team admin | one administers its team |
| org admin | one administers its organization |

A key that an administrator has limited to routes (`allowed_routes`) calls those alone. Such a key that belongs to nobody acts for the
administrator there.
";

/// The whole page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (section, rows) in TABLE {
        let _ = write!(
            page,
            "\n## {section}\n\n| operation | who | tie | why |\n|---|---|---|---|\n"
        );
        for row in *rows {
            let _ = writeln!(
                page,
                "| `{}` | {} | {} | {} |",
                name(row),
                door(row.door),
                ties(row.ties),
                row.why
            );
        }
    }
    page
}

fn name(row: &Operation) -> String {
    let path = row.path.replacen('?', "[/v1]", 1);
    match row.method {
        "*" => path,
        method => format!("{method} {path}"),
    }
}

fn door(door: Door) -> String {
    match door {
        Door::Open => "open".to_owned(),
        Door::AsksItself => "asks itself".to_owned(),
        Door::Key(super::EVERYBODY) => "everybody".to_owned(),
        Door::Key([]) => "master key".to_owned(),
        Door::Key(admitted) => {
            let words: Vec<&str> = admitted.iter().map(|who| word(*who)).collect();
            words.join(", ")
        }
    }
}

fn word(who: Who) -> &'static str {
    match who {
        Who::Admin => "admin",
        Who::Viewer => "viewer",
        Who::User => "user",
        Who::UserViewer => "user viewer",
        Who::NoRole => "no role",
        Who::OrganizationAdmin => "organization admin",
        Who::SpendReader => "spend reader",
    }
}

fn ties(ties: &[Tie]) -> String {
    let words = ties.iter().map(|tie| match tie {
        Tie::Owner => "owner",
        Tie::Member => "member",
        Tie::Permitted => "permitted",
        Tie::TeamAdmin => "team admin",
        Tie::OrganizationAdmin => "org admin",
    });
    words.collect::<Vec<_>>().join(", ")
}
