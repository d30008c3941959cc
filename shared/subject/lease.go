package subject

import (
	"fmt"
	"strconv"
	"strings"
)

// The roles whose shards are shared out among replicas by leases.
const (
	LeaseRouter     = "router"
	LeaseStream     = "stream"
	LeaseReconciler = "reconciler"
	LeaseGitWriter  = "git-writer"
)

// LeaseWatcher is the watchers of one cluster.
func LeaseWatcher(cluster string) string { return join("watcher", Token(cluster)) }

// What stands behind a role in a key of KS_LEASE.
const (
	leaseShard  = "shard"
	leaseMember = "member"
)

// LeaseKey is where it stands in KS_LEASE who works on a role's shard.
func LeaseKey(role string, shard int) string { return join(role, leaseShard, strconv.Itoa(shard)) }

// MemberKey is where it stands that a replica of a role is there.
func MemberKey(role, owner string) string { return join(role, leaseMember, Token(owner)) }

// Leases selects all of a role.
func Leases(role string) string { return join(role, ">") }

// ParseLease reads a key of a role: of one of its shards, or, with a shard of -1, of a
// replica.
func ParseLease(role string, shards int, key string) (shard int, owner string, err error) {
	what, name, _ := strings.Cut(strings.TrimPrefix(key, role+"."), ".")
	switch what {
	case leaseShard:
		if shard, err = number(name, 0, shards); err == nil && key == LeaseKey(role, shard) {
			return shard, "", nil
		}
	case leaseMember:
		if owner, err = ParseToken(name); err == nil && key == MemberKey(role, owner) {
			return -1, owner, nil
		}
	}
	return 0, "", fmt.Errorf("%w: %q is no lease of %s", ErrSubject, key, role)
}
