//! The network between the edge and providers and upstreams, with the gateways on it.

use std::rc::Rc;

use causeway_core::{
    runtime::{dependency::Dependency, unavailable::Unavailable},
    testing::platform::{Answer, Sent},
};

use crate::{oneshot::Sender, provider_profile::PROVIDER_PROFILES, world::World};

fn connection_lost() -> Unavailable {
    Unavailable::new(Dependency::Upstream, "connection lost")
}

impl World {
    /// Carries a request to its destination and the answer back, unless a fault prevents it.
    pub(crate) fn transmit(self: &Rc<Self>, sent: Sent, sender: Sender<Result<Answer, Unavailable>>) {
        let (faults, scheduler) = (self.faults.get(), &self.scheduler);
        self.trace(|| format!("sends {} {}", sent.url, sent.body));
        self.note_revocation_request(&sent);
        let there_ms = faults.draw_network_ms(scheduler);
        if scheduler.chance(faults.request_lost) {
            self.count("requests lost");
            // The sender cannot tell a lost request from a lost answer.
            if scheduler.chance(500) {
                scheduler.schedule(there_ms, move || sender.send(Err(connection_lost())));
            }
            return;
        }
        let world = Rc::clone(self);
        scheduler.schedule(there_ms, move || {
            let (faults, scheduler) = (world.faults.get(), &world.scheduler);
            let answer = world.answer_at_destination(&sent, sender.is_settled());
            let back_ms = faults.draw_network_ms(scheduler);
            if scheduler.chance(faults.answer_lost) {
                world.count("answers lost");
                if scheduler.chance(500) {
                    scheduler.schedule(back_ms, move || sender.send(Err(connection_lost())));
                }
                return;
            }
            world.trace(|| format!("{} answers {} {}", sent.url, answer.0, answer.2));
            scheduler.schedule(back_ms, move || sender.send(Ok(answer)));
        });
    }

    /// The answer as it leaves the destination's gateway. `is_late`: the sender no longer waits for it.
    fn answer_at_destination(&self, sent: &Sent, is_late: bool) -> Answer {
        let (faults, scheduler) = (self.faults.get(), &self.scheduler);
        let is_api = PROVIDER_PROFILES.iter().any(|profile| profile.has_api_at(&sent.url));
        if !is_api && scheduler.chance(faults.provider_busy) {
            self.count("busy answers of a provider");
            let retry_after = ("retry-after", "7".to_owned());
            return match scheduler.draw(0..4) {
                0 => (429, Vec::new(), "busy".to_owned()),
                1 => (429, vec![retry_after], "busy".to_owned()),
                _ => (503, vec![retry_after], "busy".to_owned()),
            };
        }
        let mangling = scheduler.chance(faults.answer_mangled).then(|| scheduler.draw(0..6));
        let unreachable = (503, Vec::new(), "upstream connect error or disconnect/reset before headers".to_owned());
        // A proxy's answer is the same whether or not the provider behind it did its work (see 3 below).
        if mangling == Some(5) {
            self.count("answers mangled");
            return unreachable;
        }
        let answer = match self.answer_of_provider(sent, is_late) {
            Some(answer) => answer,
            None => self.answer_of_api(sent),
        };
        // Errors are rare, and a truncated one is ambiguous: they are truncated more often than other answers.
        let is_error_truncated = answer.0 == 400 && scheduler.chance(3 * faults.answer_mangled);
        let Some(mangling) = mangling.or_else(|| is_error_truncated.then_some(4)) else { return answer };
        self.count("answers mangled");
        match mangling {
            // A gateway that timed out, though the work was done.
            0 => (504, Vec::new(), "<html>".to_owned()),
            1 => (200, vec![("content-type", "text/html".to_owned())], "<html>".to_owned()),
            // A gateway that lost the answer to work that was done.
            2 => (502, Vec::new(), "<html>".to_owned()),
            3 => {
                self.count("answers 503 though the work was done");
                unreachable
            }
            _ => (answer.0, answer.1, answer.2.chars().take(answer.2.len() / 2).collect()),
        }
    }
}
