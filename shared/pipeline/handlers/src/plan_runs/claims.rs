//! Takes what only one component may have: an image repository and a CodeBuild project.

use std::collections::BTreeMap;

use towline_domain::names::{ComponentName, RepositoryId, RepositoryName};
use towline_ports::Key;

use super::Plan;
use towline_state::Reads;
use towline_state::keys;
use towline_state::records::{Claim, Repository};
use towline_state::{HandlerError, Read};

/// What a run takes for its components: as it was read, and as it is to be.
pub(super) type Claims = BTreeMap<Key, (Option<Read<Claim>>, Claim)>;

impl Plan<'_> {
    /// Takes what only one component may have, together with the run; names the owner when it is
    /// another's and kept by it.
    pub(super) async fn claim(
        &self,
        reads: &mut Reads<'_>,
        key: Key,
        claim: &Claim,
        is_kept: impl Fn(&Claim) -> bool,
        claims: &mut Claims,
    ) -> Result<Option<Claim>, HandlerError> {
        let same = |known: &Claim| {
            (known.repository, &known.component) == (claim.repository, &claim.component)
        };
        if let Some((_, taken)) = claims.get(&key) {
            return Ok((!same(taken)).then(|| taken.clone()));
        }
        let known = reads.read::<Claim>(&key).await?;
        if let Some(known) = known.as_ref().map(|known| &known.value) {
            if same(known) {
                return Ok(None);
            }
            if is_kept(known) {
                return Ok(Some(known.clone()));
            }
        }
        claims.insert(key, (known, claim.clone()));
        Ok(None)
    }

    /// The other repository that has claimed a project by a name that is not its name any more:
    /// its own pushes say so, or this push does, for no two repositories have one name.
    pub(super) async fn renamed_owner(
        &self,
        reads: &mut Reads<'_>,
        project: &Key,
        is_project: impl Fn(&RepositoryName, &ComponentName) -> bool,
    ) -> Result<Option<RepositoryId>, HandlerError> {
        let owner = reads.read::<Claim>(project).await?.map(|read| read.value);
        let Some(owner) = owner.filter(|owner| owner.repository != self.push.repository) else {
            return Ok(None);
        };
        let key = keys::repository(owner.repository);
        let Some(known) = reads.read::<Repository>(&key).await? else {
            return Ok(None);
        };
        let name = known.value.name;
        let ours = name
            .as_str()
            .eq_ignore_ascii_case(self.repository.name.as_str());
        Ok((ours || !is_project(&name, &owner.component)).then_some(owner.repository))
    }
}
