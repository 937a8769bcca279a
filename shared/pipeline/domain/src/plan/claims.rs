//! Resources that belong to only one component: an image repository and a `CodeBuild` project.

use std::collections::BTreeMap;

use super::Planner;
use super::known::{Claimed, Wants};
use crate::definition::{Component, Definition};
use crate::image::Claim;
use crate::names::{GitRef, RepositoryName};
use crate::reason::Unbuildable;

/// The new claims of a run's components, without the claims they already have.
pub(super) type Claims = BTreeMap<Claimed, Claim>;

impl Planner<'_> {
    /// Claims what the component needs, or returns the reason if that belongs to another component.
    pub(super) fn claim(
        &self,
        definition: &Definition,
        component: &Component,
        claims: &mut Claims,
    ) -> Result<Option<Unbuildable>, Wants> {
        let claim = Claim {
            repository: self.push.repository,
            component: component.name.clone(),
            images: component.repository.clone(),
            released: false,
        };
        let images = Claimed::Images(claim.images.clone());
        let project = Claimed::project(&self.push.repository_name, &claim.component);
        for claimed in [images, project] {
            let owner = match claims.get(&claimed) {
                Some(taken) => Some(taken),
                None => self.owner(definition, &claimed)?,
            };
            match owner {
                Some(owner) if is_same(owner, &claim) => {}
                Some(owner) => return Ok(Some(claimed.taken(owner))),
                // Otherwise anyone who may push to some branch could permanently take any name (S13).
                None if matches!(claimed, Claimed::Images(_)) && !self.is_on_default() => {
                    return Ok(Some(Unbuildable::NotClaimed {
                        images: claim.images,
                        default_branch: self.push.default_branch.clone(),
                    }));
                }
                None => drop(claims.insert(claimed, claim.clone())),
            }
        }
        Ok(None)
    }

    fn is_on_default(&self) -> bool {
        self.push.git_ref == GitRef::Branch(self.push.default_branch.clone())
    }

    /// The owner, if it keeps its claim.
    fn owner(&self, definition: &Definition, claimed: &Claimed) -> Result<Option<&Claim>, Wants> {
        let owner = self.known.claim(claimed)?;
        let Some(owner) = owner.filter(|owner| !owner.released) else {
            return Ok(None);
        };
        let has_it = |name: &RepositoryName, component: &Component| match claimed {
            Claimed::Images(images) => component.repository == *images,
            Claimed::Project(_) => Claimed::project(name, &component.name) == *claimed,
        };
        let is_kept = if owner.repository == self.push.repository {
            // The default branch may give a claim of one of its components to another.
            let known = definition.component(&owner.component);
            !self.is_on_default()
                || known.is_some_and(|known| has_it(&self.push.repository_name, known))
        } else {
            match claimed {
                Claimed::Images(_) => true,
                Claimed::Project(_) => !self.has_another_name(owner, claimed)?,
            }
        };
        Ok(is_kept.then_some(owner))
    }

    /// Whether the other repository claimed a project under a name that it no longer has. Its own
    /// pushes show this, or this push does, because no two repositories have the same name.
    fn has_another_name(&self, owner: &Claim, project: &Claimed) -> Result<bool, Wants> {
        let Some(name) = self.known.name(owner.repository)? else {
            return Ok(false);
        };
        let ours = self.push.repository_name.as_str();
        let is_ours = name.as_str().eq_ignore_ascii_case(ours);
        Ok(is_ours || Claimed::project(name, &owner.component) != *project)
    }
}

fn is_same(one: &Claim, other: &Claim) -> bool {
    (one.repository, &one.component) == (other.repository, &other.component)
}
