-- Whoever is deleted leaves the lists of all nodes.
CREATE INDEX pubsub_affiliations_by_whom ON pubsub_affiliations (jid);
CREATE INDEX pubsub_subscriptions_by_whom ON pubsub_subscriptions (jid);
