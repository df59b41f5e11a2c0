//! The folder that the gateway keeps its own things in: the embedded database, and the keys that it
//! made itself. Readable by its owner alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const DATABASE: &str = "tollgate.db";

/// An existing folder.
#[derive(Clone, Debug)]
pub struct DataFolder(PathBuf);

/// Keeps other processes from an SQLite file while it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// A key that stands in the folder.
pub struct KeptKey {
    pub secret: Secret,
    pub file: PathBuf,
    /// Whether it was made just now.
    pub is_new: bool,
}

impl Lock {
    /// Claims an SQLite file for this process. The operating system gives it back when the process
    /// ends, however it ends.
    ///
    /// # Errors
    /// When another process has it.
    pub fn of(database: &Path) -> Result<Lock> {
        let mut name = database.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let file = private(&path, OpenOptions::new().create(true).truncate(false))
            .with_context(|| format!("{} cannot be opened", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => bail!(
                "another tollgate process uses {}: stop it, or give this one its own with --data-dir, \
                 or let both share a PostgreSQL database with DATABASE_URL",
                database.display()
            ),
            Err(std::fs::TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("{} cannot be locked", path.display()))
            }
        }
    }
}

impl DataFolder {
    /// Makes the folder, for its owner alone, if it is not there.
    pub fn open(path: &Path) -> Result<DataFolder> {
        make(path).with_context(|| format!("the data folder {} cannot be made", path.display()))?;
        Ok(DataFolder(path.to_owned()))
    }

    pub fn database(&self) -> PathBuf {
        self.0.join(DATABASE)
    }

    /// The key in a file of the folder; a new one (`sk-` and 256 random bits) if there is none.
    pub fn key(&self, name: &str) -> Result<KeptKey> {
        let file = self.0.join(name);
        let failed = || format!("the key file {} cannot be used", file.display());
        if let Some(secret) = read(&file).with_context(failed)? {
            return Ok(KeptKey {
                secret,
                file,
                is_new: false,
            });
        }
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| anyhow::anyhow!("the system gave no random bytes: {error}"))?;
        let text = format!("sk-{}", URL_SAFE_NO_PAD.encode(bytes));
        match private(&file, OpenOptions::new().create_new(true)) {
            Ok(mut handle) => {
                writeln!(handle, "{text}").with_context(failed)?;
                handle.sync_all().with_context(failed)?;
                let secret = Secret::new(text);
                Ok(KeptKey {
                    secret,
                    file,
                    is_new: true,
                })
            }
            // another process that shares the folder was quicker
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let secret = read(&file).with_context(failed)?.with_context(failed)?;
                Ok(KeptKey {
                    secret,
                    file,
                    is_new: false,
                })
            }
            Err(error) => Err(error).with_context(failed),
        }
    }
}

/// Makes a file that only its owner may read, if it is not there. SQLite gives its other files the
/// same mode.
pub fn make_private(file: &Path) -> Result<()> {
    private(file, OpenOptions::new().create(true).truncate(false))
        .map(drop)
        .with_context(|| format!("{} cannot be made", file.display()))
}

fn read(file: &Path) -> io::Result<Option<Secret>> {
    match std::fs::read_to_string(file) {
        Ok(text) if text.trim().is_empty() => Err(io::Error::other("it is empty")),
        Ok(text) => Ok(Some(Secret::new(text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn make(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Opens a file for writing that others may not read.
fn private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.write(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_for_its_owner() {
        let folder = testkit::databases::Folder::new();
        let data = DataFolder::open(&folder.path().join("new/data")).unwrap();
        let made = data.key("master-key").unwrap();
        assert!(made.is_new && made.secret.expose().starts_with("sk-"));
        let kept = data.key("master-key").unwrap();
        assert!(!kept.is_new);
        assert_eq!(kept.secret.expose(), made.secret.expose());
        assert_ne!(
            data.key("other").unwrap().secret.expose(),
            made.secret.expose()
        );
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&made.file), 0o600);
        assert_eq!(mode(&data.0), 0o700);
    }

    #[test]
    fn two_processes_do_not_share_a_database() {
        let folder = testkit::databases::Folder::new();
        let database = DataFolder::open(folder.path()).unwrap().database();
        let lock = Lock::of(&database).unwrap();
        let refused = Lock::of(&database).unwrap_err().to_string();
        assert!(refused.starts_with("another tollgate process"), "{refused}");
        drop(lock);
        Lock::of(&database).unwrap();
    }
}
