//! The table `[reload]`: when the configuration is read again without being asked to.

use super::reading::section::Section;

/// The reading again of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct ReloadConfig {
    /// Whether a change of the configuration's files is enough.
    pub watch: bool,
}

impl ReloadConfig {
    pub(super) fn read(section: &Section) -> Self {
        let config = Self { watch: section.or("watch", false) };
        section.finish();
        config
    }
}
