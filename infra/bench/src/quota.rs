//! A share of a core, like that of a function with little memory: a cgroup.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// Microseconds of CPU in each period: 14.5 % of a core, as with 256 MB of memory (a full core comes with
/// 1,769 MB; Lambda developer guide, "Configure Lambda function memory").
const SHARE: u32 = 2_900;
/// Microseconds of a period, as in the kernel of Lambda's machines.
const PERIOD: u32 = 20_000;

/// The cgroup, removed when dropped.
pub struct Quota {
    folder: PathBuf,
}

impl Quota {
    /// Creates one, with cgroups of version 2 or 1; both need permission.
    pub fn new() -> Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let unified = fs::read_to_string(root.join("cgroup.controllers"))
            .is_ok_and(|controllers| controllers.split_whitespace().any(|name| name == "cpu"));
        let name = format!("towline-bench-{}", std::process::id());
        let quota = if unified {
            Self {
                folder: root.join(name),
            }
        } else {
            Self {
                folder: root.join("cpu").join(name),
            }
        };
        fs::create_dir(&quota.folder).context("making a cgroup")?;
        if unified {
            quota.set("cpu.max", &format!("{SHARE} {PERIOD}"))?;
        } else {
            quota.set("cpu.cfs_period_us", &PERIOD.to_string())?;
            quota.set("cpu.cfs_quota_us", &SHARE.to_string())?;
        }
        Ok(quota)
    }

    fn set(&self, name: &str, value: &str) -> Result<()> {
        fs::write(self.folder.join(name), value).with_context(|| format!("writing {name}"))
    }

    /// The file for the ids of limited processes.
    pub fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        // A remaining one does no harm.
        let _ = fs::remove_dir(&self.folder);
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = f64::from(SHARE) * 100.0 / f64::from(PERIOD);
        write!(formatter, "{percent} % of a core")
    }
}
