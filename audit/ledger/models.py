"""The tables of the log. Rows come in through ledger.log alone; nothing updates or deletes them."""

from __future__ import annotations

import uuid

from django.db import models


class Event(models.Model):
    """One event. `leaf` is the evidence; the other columns find it and are derived from it.

    The object columns are those of the first object, Mention has the others. There is no index by
    time: ids are UUIDv7, so a span of time is a span of ids.
    """

    id = models.UUIDField(primary_key=True)
    leaf = models.BinaryField()
    leaf_hash = models.BinaryField()
    created_at = models.DateTimeField(db_default=models.functions.Now())
    at = models.DateTimeField()
    writer = models.TextField(blank=True)
    boot = models.UUIDField(null=True)
    wseq = models.BigIntegerField(null=True)
    act = models.TextField()
    outcome = models.TextField()
    severity = models.SmallIntegerField()
    actor_kind = models.TextField()
    actor_id = models.TextField(blank=True)
    key_id = models.TextField(blank=True)
    object_type = models.TextField(blank=True)
    object_id = models.TextField(blank=True)
    object_label = models.TextField(blank=True)
    deployment = models.TextField(blank=True)
    request_id = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=["boot", "wseq"],
                name="event_numbered_once",
                condition=models.Q(wseq__isnull=False),
            ),
            models.CheckConstraint(
                condition=models.Q(
                    outcome__in=["success", "failure", "denied", "error", "aborted"]
                ),
                name="event_outcome_known",
            ),
            models.CheckConstraint(
                condition=models.Q(wseq__isnull=True) | models.Q(boot__isnull=False),
                name="event_number_has_boot",
            ),
        ]
        indexes = [
            # What is often asked for besides is in the index, so that nobody reads the rows of all
            # that a person did to find the few with that outcome.
            models.Index(
                fields=["actor_id", "-id"],
                include=["deployment", "outcome", "act"],
                name="event_by_actor",
            ),
            models.Index(fields=["act", "-id"], name="event_by_act"),
            models.Index(
                fields=["outcome", "-id"], include=["deployment", "act"], name="event_by_outcome"
            ),
            models.Index(fields=["object_id", "-id"], name="event_by_object"),
            models.Index(
                fields=["deployment", "-id"], include=["outcome", "act"], name="event_by_deployment"
            ),
            models.Index(fields=["request_id"], name="event_by_request"),
            models.Index(
                fields=["object_label", "-id"],
                name="event_by_label",
                condition=~models.Q(object_label=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.act} {self.outcome} {self.id}"


class Intake(models.Model):
    """An event of the inference path as it is made durable: one row, no index but its key.

    `ledger_file` moves it into Event, Personal and Mention; the columns it is found by there are
    made of its leaf. It may go from here once it is there.
    """

    number = models.BigAutoField(primary_key=True)
    created_at = models.DateTimeField(db_default=models.functions.Now())
    event_id = models.UUIDField()
    at = models.DateTimeField()
    boot = models.UUIDField()
    wseq = models.BigIntegerField()
    leaf = models.BinaryField()
    key = models.BinaryField()
    values = models.JSONField()

    class Meta:
        verbose_name_plural = "intake"

    def __str__(self) -> str:
        return str(self.event_id)


class Personal(models.Model):
    """The personal values of one event and the key of the commitments that stand for them."""

    event = models.OneToOneField(
        Event, on_delete=models.DO_NOTHING, primary_key=True, related_name="personal"
    )
    key = models.BinaryField()
    ip = models.TextField(blank=True)
    values = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "personal values"
        indexes = [models.Index(fields=["ip", "-event"], name="personal_by_ip")]

    def __str__(self) -> str:
        return f"personal values of {self.event_id}"


class Erased(models.Model):
    """That personal values of an event were erased, and by which recorded erasure (its event).

    `rest` commits to what remains of the event's values, under a new key; empty when none does.
    Rows come in through the owner's function `ledger_erase` alone; of one event the last holds.
    """

    event_id = models.UUIDField()
    erasure_id = models.UUIDField()
    rest = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "erased"
        constraints = [
            models.UniqueConstraint(fields=["event_id", "erasure_id"], name="erased_once_each")
        ]
        indexes = [models.Index(fields=["event_id", "id"], name="erased_by_event")]

    def __str__(self) -> str:
        return f"{self.event_id} by {self.erasure_id}"


class Mention(models.Model):
    """An object of an event besides its first, so that everything about an object is found.

    Its key is its only index, and there is no foreign key to check: it is written with every
    request that is answered, and nothing is ever deleted.
    """

    pk = models.CompositePrimaryKey("object_id", "event_id")
    object_id = models.TextField()
    event = models.ForeignKey(
        Event,
        on_delete=models.DO_NOTHING,
        related_name="mentions",
        db_constraint=False,
        db_index=False,
    )

    def __str__(self) -> str:
        return f"{self.object_id} in {self.event_id}"


class Pending(models.Model):
    """An event that is not sealed yet. A trigger on Event fills it, the sealer empties it."""

    number = models.BigAutoField(primary_key=True)
    event_id = models.UUIDField()

    class Meta:
        verbose_name_plural = "pending"

    def __str__(self) -> str:
        return str(self.event_id)


class Tree(models.Model):
    """A Merkle tree of the log. There is one, until an old backup is restored: then the next
    begins, under an origin of its own, and says in its first leaf what it follows."""

    number = models.PositiveSmallIntegerField(primary_key=True)
    origin = models.TextField(unique=True)
    hash = models.TextField()
    opened_at = models.DateTimeField(db_default=models.functions.Now())

    def __str__(self) -> str:
        return self.origin


class KeyChange(models.Model):
    """That two people decided that the sealer changes its key. It has when a signing key names it;
    a trigger lets nobody store one without their proposal."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    proposal_id = models.UUIDField(unique=True)
    at = models.DateTimeField(db_default=models.functions.Now())

    def __str__(self) -> str:
        return str(self.pk)


class SigningKey(models.Model):
    """A public key of the sealer. `endorsement`: the note by which the key before it names it.
    `change`: who decided it; none for the first, which the sealer makes by itself."""

    vkey = models.TextField(unique=True)
    tree = models.PositiveSmallIntegerField()
    endorsement = models.TextField(blank=True)
    change_id = models.UUIDField(null=True, unique=True)
    added_at = models.DateTimeField(db_default=models.functions.Now())

    def __str__(self) -> str:
        return self.vkey


class Leaf(models.Model):
    """The position of an event in the tree, and the hash of its bytes as the sealer found them."""

    pk = models.CompositePrimaryKey("tree", "position")
    tree = models.PositiveSmallIntegerField()
    position = models.BigIntegerField()
    event_id = models.UUIDField(unique=True)
    leaf_hash = models.BinaryField()
    sealed_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "leaves"

    def __str__(self) -> str:
        return f"{self.tree}:{self.position}"


class Subtree(models.Model):
    """The root of a complete subtree of 2**level leaves, for levels 8, 16 and 24: proofs then read
    at most 256 hashes a level."""

    pk = models.CompositePrimaryKey("tree", "level", "index")
    tree = models.PositiveSmallIntegerField()
    level = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    root = models.BinaryField()

    def __str__(self) -> str:
        return f"{self.tree}:{self.level}:{self.index}"


class Checkpoint(models.Model):
    """A signed head of a tree."""

    tree = models.PositiveSmallIntegerField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    signed_at = models.DateTimeField()

    class Meta:
        ordering = ("tree", "size", "pk")
        indexes = [models.Index(fields=["tree", "size"], name="checkpoint_by_size")]

    def __str__(self) -> str:
        return f"{self.tree}:{self.size}"


class SealerState(models.TextChoices):
    SEALING = "sealing", "Sealing"
    ROLLBACK = "rollback", "Rolled back"
    BROKEN = "broken", "Broken"


class Sealer(models.Model):
    """What the sealer says of itself, one row. `incident` names a rollback that people must
    acknowledge; `problem` says what it found."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    state = models.CharField(max_length=16, choices=SealerState)
    problem = models.TextField(blank=True)
    incident = models.UUIDField(null=True)
    tree = models.PositiveSmallIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    beat_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.state


class Acknowledgement(models.Model):
    """One administrator's word that a rollback was seen; the sealer goes on after two."""

    incident = models.UUIDField()
    person_id = models.UUIDField()
    reason = models.TextField()
    at = models.DateTimeField(db_default=models.functions.Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["incident", "person_id"], name="acknowledged_once_a_person"
            )
        ]

    def __str__(self) -> str:
        return f"{self.incident} by {self.person_id}"


class Process(models.Model):
    """A process that admits requests. One that is silent is closed, and what it left open ends."""

    boot = models.UUIDField(primary_key=True)
    name = models.TextField()
    beat_at = models.DateTimeField(db_default=models.functions.Now())
    closed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "processes"

    def __str__(self) -> str:
        return self.name


class RemovedSpan(models.Model):
    """Positions whose events retention has removed, and the event that says so. What has no span
    cannot be deleted. Rows come in through the owner's function `office_prune` alone."""

    pk = models.CompositePrimaryKey("tree", "first")
    tree = models.PositiveSmallIntegerField()
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    event_id = models.UUIDField()

    def __str__(self) -> str:
        return f"{self.tree}:{self.first}-{self.last}"


class RemovedNumbers(models.Model):
    """The numbers that a process had given to events which retention has removed."""

    pk = models.CompositePrimaryKey("boot", "first")
    boot = models.UUIDField()
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    event_id = models.UUIDField()

    class Meta:
        verbose_name_plural = "removed numbers"

    def __str__(self) -> str:
        return f"{self.boot}:{self.first}-{self.last}"
