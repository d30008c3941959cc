package bus

import "slices"

// standing is what KS_LEASE says of a role: who is there, and who works on what.
type standing struct {
	members map[string]bool
	holders []string // by shard; "" where nobody does
}

// share is how many shards a member works on at most, so that each has its part and
// none is left.
func (s standing) share() int {
	n := max(len(s.members), 1)
	return (len(s.holders) + n - 1) / n
}

// free are the shards that a member takes now, who works on some already. What stands
// under its own name and is not among them was its predecessor's, and is free.
func (s standing) free(me string, mine []int) (take []int) {
	for shard, holder := range s.holders {
		if len(mine)+len(take) >= s.share() {
			break
		}
		if (holder == "" || holder == me) && !slices.Contains(mine, shard) {
			take = append(take, shard)
		}
	}
	return take
}

// surplus are the shards that a member gives back now, so that others have their part.
func (s standing) surplus(mine []int) []int {
	mine = slices.Sorted(slices.Values(mine))
	return mine[min(len(mine), s.share()):]
}
