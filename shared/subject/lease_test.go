package subject

import (
	"errors"
	"testing"
)

// FuzzLease: a key reads back as what it was built from, and as nothing of another role.
func FuzzLease(f *testing.F) {
	for _, s := range awkward {
		f.Add(s, s, 3)
	}
	f.Fuzz(func(t *testing.T, cluster, owner string, n int) {
		role := LeaseWatcher(cluster)
		shard := int(uint(n) % 8)
		key := LeaseKey(role, shard)
		checkKey(t, key)
		if got, who, err := ParseLease(role, 8, key); got != shard || who != "" || err != nil {
			t.Errorf("%q reads as shard %d of %q: %v", key, got, who, err)
		}
		member := MemberKey(role, owner)
		checkKey(t, member)
		if got, who, err := ParseLease(role, 8, member); got != -1 || who != owner || err != nil {
			t.Errorf("%q reads as shard %d of %q: %v", member, got, who, err)
		}
		for _, k := range []string{key, member} {
			selects(t, k, Leases(role))
			ignores(t, k, Leases(LeaseRouter), Leases(LeaseWatcher(cluster+"x")))
			if _, _, err := ParseLease(LeaseWatcher(cluster+"x"), 8, k); !errors.Is(err, ErrSubject) {
				t.Errorf("%q is a lease of another cluster: %v", k, err)
			}
		}
	})
}

func TestParseLeaseRefuses(t *testing.T) {
	for _, key := range []string{"", "router", "router.shard", "router.shard.8", "router.shard.01", "router.shard.-1", "router.shard.1.2", "router.member.", "router.member.a/b", "router.0", "stream.shard.1"} {
		if shard, who, err := ParseLease(LeaseRouter, 8, key); !errors.Is(err, ErrSubject) {
			t.Errorf("%q was read as shard %d of %q, %v", key, shard, who, err)
		}
	}
}
