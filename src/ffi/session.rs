//! The session's facts as the host sees them.

/// What the server said when the session began (docs/protocol.md, section 5).
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record, serde::Serialize)]
pub struct Session {
    /// Whether this login activated the license.
    pub is_activated_now: bool,
    /// The day of activation, `YYYY-MM-DD`.
    pub activation_date: String,
    /// The plan, for example `telepower.licensePlan.release.monthly`.
    pub license_plan: String,
    /// The day on which the license runs out, `YYYY-MM-DD`.
    pub expiry_date: String,
}

impl From<&crate::SessionInfo> for Session {
    fn from(session: &crate::SessionInfo) -> Self {
        Self {
            is_activated_now: session.is_activated_now,
            activation_date: session.activation_date.to_string(),
            license_plan: session.license_plan.clone(),
            expiry_date: session.expiry_date.to_string(),
        }
    }
}
