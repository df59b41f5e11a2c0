//! What is written: one structure for all letters, as plain text and as HTML, and the letters
//! themselves. What people have named is only ever text in them.

use base::{Millis, Money};

use super::{Brand, Event};

/// A letter before it is put into an envelope.
#[derive(Clone, Debug)]
pub struct Letter {
    pub event: Event,
    pub subject: String,
    pub paragraphs: Vec<String>,
    /// Names and values, one a line.
    pub facts: Vec<(&'static str, String)>,
    /// What can be done, and the link to do it.
    pub action: Option<(&'static str, String)>,
    /// What stands below the link.
    pub remark: Option<&'static str>,
}

/// The longest subject.
const LONGEST_SUBJECT: usize = 150;

impl Letter {
    fn new(event: Event, subject: impl Into<String>) -> Letter {
        Letter {
            event,
            subject: subject.into(),
            paragraphs: Vec::new(),
            facts: Vec::new(),
            action: None,
            remark: None,
        }
    }

    fn says(mut self, paragraph: impl Into<String>) -> Letter {
        self.paragraphs.push(paragraph.into());
        self
    }

    fn fact(mut self, name: &'static str, value: impl Into<String>) -> Letter {
        self.facts.push((name, value.into()));
        self
    }

    fn offers(mut self, action: &'static str, link: &str) -> Letter {
        self.action = Some((action, link.to_owned()));
        self
    }

    fn remarks(mut self, remark: &'static str) -> Letter {
        self.remark = Some(remark);
        self
    }

    /// The subject on one line: a line break in it would begin another header.
    pub fn subject(&self) -> String {
        one_line(&self.subject)
            .chars()
            .take(LONGEST_SUBJECT)
            .collect()
    }

    /// The letter as plain text.
    pub fn text(&self, brand: &Brand) -> String {
        let mut text = String::new();
        for paragraph in &self.paragraphs {
            text += &format!("{}\n\n", one_line(paragraph));
        }
        for (name, value) in &self.facts {
            text += &format!("{name}: {}\n", one_line(value));
        }
        if !self.facts.is_empty() {
            text.push('\n');
        }
        if let Some((action, link)) = &self.action {
            text += &format!("{action}:\n{link}\n\n");
        }
        if let Some(remark) = self.remark {
            text += &format!("{remark}\n\n");
        }
        text += &format!("-- \n{}\n", brand.closing());
        text
    }

    /// The letter as HTML, without anything that is loaded but the configured logo.
    pub fn html(&self, brand: &Brand) -> String {
        let mut html = String::from(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"></head>\
             <body style=\"font-family: sans-serif; max-width: 36em; margin: 2em auto; padding: 0 \
             1em; line-height: 1.5\">\n",
        );
        if let Some(logo) = &brand.logo_url {
            let logo = escape(logo);
            html += &format!("<p><img src=\"{logo}\" alt=\"\" height=\"40\"></p>\n");
        }
        for paragraph in &self.paragraphs {
            html += &format!("<p>{}</p>\n", escape(paragraph));
        }
        if !self.facts.is_empty() {
            html += "<ul>\n";
            for (name, value) in &self.facts {
                html += &format!("<li>{}: <b>{}</b></li>\n", escape(name), escape(value));
            }
            html += "</ul>\n";
        }
        if let Some((action, link)) = &self.action {
            let (action, link) = (escape(action), escape(link));
            html += &format!("<p>{action}:<br><a href=\"{link}\">{link}</a></p>\n");
        }
        if let Some(remark) = self.remark {
            html += &format!("<p>{}</p>\n", escape(remark));
        }
        html += &format!("<hr><p>{}</p>\n</body></html>\n", escape(&brand.closing()));
        html
    }
}

impl Brand {
    fn closing(&self) -> String {
        let mut closing = one_line(self.signature.as_deref().unwrap_or("Tollgate"));
        if let Some(contact) = &self.support_contact {
            closing += &format!(" · Help: {}", one_line(contact));
        }
        closing
    }
}

fn one_line(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), " ")
}

/// Text for HTML, in elements and in quoted attributes.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn day(at: Millis) -> String {
    at.to_rfc3339().chars().take(10).collect()
}

const IGNORE: &str = "If you did not ask for this, you need do nothing.";

/// Somebody was invited; the link lets them choose a password.
pub fn invitation_letter(brand: &Brand, link: &str, expires_at: Millis) -> Letter {
    let subject = brand.subject_invitation.as_deref();
    Letter::new(
        Event::Invitation,
        subject.unwrap_or("You are invited to Tollgate"),
    )
    .says("You have been given an account on a gateway to language models.")
    .says("Choose a password to sign in and make your own API keys.")
    .offers("Accept the invitation", link)
    .fact("The link works once, until", day(expires_at))
    .remarks("If you did not expect this, you need do nothing.")
}

/// A key was made for somebody. The key itself is never mailed.
pub fn key_created_letter(
    brand: &Brand,
    name: &str,
    alias: Option<&str>,
    max_budget: Option<Money>,
    sign_in: &str,
) -> Letter {
    let subject = brand.subject_key_created.as_deref();
    let mut letter = Letter::new(
        Event::KeyCreated,
        subject.unwrap_or("A new API key was made for you"),
    )
    .says(
        "An API key was made for you. For safety it is not in this mail: whoever made it can \
               hand it to you, or you make one of your own after signing in.",
    )
    .fact("Key", name);
    if let Some(alias) = alias {
        letter = letter.fact("Name", alias);
    }
    if let Some(budget) = max_budget {
        letter = letter.fact("Budget", dollars(budget));
    }
    letter.offers("Sign in", sign_in)
}

/// A key got a new value.
pub fn key_rotated_letter(
    brand: &Brand,
    name: &str,
    alias: Option<&str>,
    old_valid_until: Option<Millis>,
    sign_in: &str,
) -> Letter {
    let subject = brand.subject_key_rotated.as_deref();
    let mut letter = Letter::new(
        Event::KeyRotated,
        subject.unwrap_or("Your API key was rotated"),
    )
    .says("An API key of yours has a new value. For safety it is not in this mail.")
    .fact("Key", alias.unwrap_or(name));
    if let Some(until) = old_valid_until {
        letter = letter.fact("The old value works until", until.to_rfc3339());
    }
    letter.offers("Sign in", sign_in)
}

/// A key will stop working.
pub fn key_expiring_letter(
    name: &str,
    alias: Option<&str>,
    expires_at: Millis,
    sign_in: &str,
) -> Letter {
    Letter::new(Event::KeyExpiring, "An API key of yours will expire")
        .says("An API key of yours will stop working soon. Rotate it or make another in time.")
        .fact("Key", alias.unwrap_or(name))
        .fact("It expires at", expires_at.to_rfc3339())
        .offers("Sign in", sign_in)
}

/// A provider does not take a key any more. The key itself is in no mail.
pub fn provider_key_rejected_letter(
    provider: &str,
    name: &str,
    last4: &str,
    sign_in: &str,
) -> Letter {
    Letter::new(
        Event::ProviderKeyRejected,
        format!("{provider} does not take your key any more"),
    )
    .says(format!(
        "{provider} refused a key of yours as invalid. Calls that it was to pay for fail until it is \
         replaced; nobody else's key pays in its place unless that was allowed."
    ))
    .fact("Provider", provider)
    .fact("Key", format!("{name} (…{last4})"))
    .offers("Sign in and replace the key", sign_in)
}

/// Somebody asked to set a new password for this address.
pub fn password_reset_letter(link: &str) -> Letter {
    Letter::new(Event::Password, "Set a new password")
        .says("Somebody, probably you, asked to set a new password for your account.")
        .says("The link works once, for one hour.")
        .offers("Set a new password", link)
        .remarks(IGNORE)
}

/// A password was changed: its owner should know.
pub fn password_changed_letter(at: Millis) -> Letter {
    Letter::new(Event::Password, "Your password was changed")
        .says("The password of your account was changed, and all sessions were ended.")
        .fact("When", at.to_rfc3339())
        .remarks("If this was not you, set a new password at once and tell your administrator.")
}

/// A budget is nearly used up, used up, or beyond what was to be told.
pub fn budget_letter(
    event: Event,
    of: &str,
    spent: Money,
    amount: Money,
    resets_at: Option<Millis>,
) -> Letter {
    let is_used_up = spent >= amount;
    let subject = match (event, is_used_up) {
        (Event::SoftBudget, _) => format!("Soft budget crossed: {of}"),
        (_, true) => format!("Budget used up: {of}"),
        (_, false) => format!("Budget nearly used up: {of}"),
    };
    let says = match (event, is_used_up) {
        (Event::SoftBudget, _) => "More was spent than the soft budget. Calls go on.",
        (_, true) => "The budget is used up. Calls are refused until it is raised or starts anew.",
        (_, false) => "Most of the budget is spent. When it is used up, calls will be refused.",
    };
    let mut letter = Letter::new(event, subject)
        .says(says)
        .fact("Budget of", of)
        .fact("Spent", dollars(spent))
        .fact("Budget", dollars(amount));
    if let Some(at) = resets_at {
        letter = letter.fact("It starts anew at", at.to_rfc3339());
    }
    letter
}

/// Somebody asks for something that the reader may grant.
pub fn request_made_letter(who: &str, asks: &str, reason: Option<&str>, link: &str) -> Letter {
    let letter = Letter::new(Event::RequestMade, format!("Request from {who}: {asks}"))
        .says("Somebody asks for something that you may grant.")
        .fact("From", who)
        .fact("Asks for", asks);
    let letter = match reason {
        Some(reason) => letter.fact("Reason", reason),
        None => letter,
    };
    letter.offers("Approve or decline", link)
}

/// What became of a request.
pub fn request_decided_letter(asks: &str, approved: bool, remark: Option<&str>) -> Letter {
    let (subject, says) = match approved {
        true => ("Your request was approved", "Your request was approved."),
        false => ("Your request was declined", "Your request was declined."),
    };
    let letter = Letter::new(Event::RequestDecided, subject)
        .says(says)
        .fact("Request", asks);
    match remark {
        Some(remark) => letter.fact("Remark", remark),
        None => letter,
    }
}

fn dollars(amount: Money) -> String {
    format!("${amount}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_name_is_only_text() {
        let brand = Brand {
            signature: Some("Ops <ops@example.com>".to_owned()),
            ..Brand::default()
        };
        let name = "<script>alert(1)</script>\r\nBcc: all@example.com";
        let letter = request_made_letter(
            name,
            "a \"model\"",
            Some("because\n\nI want"),
            "https://a/b?c=1&d=2",
        );
        assert!(!letter.subject().contains(['\r', '\n']));
        assert!(letter.subject().starts_with("Request from <script>"));
        let html = letter.html(&brand);
        assert!(!html.contains("<script>") && !html.contains("\r"));
        assert!(html.contains("href=\"https://a/b?c=1&amp;d=2\""));
        let text = letter.text(&brand);
        assert!(text.contains("https://a/b?c=1&d=2\n"));
        assert!(text.contains("Reason: because  I want\n"));
        assert!(text.ends_with("-- \nOps <ops@example.com>\n"));
    }
}
