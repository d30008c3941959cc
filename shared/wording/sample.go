package wording

// samples are commits of each kind, for templates to be tried on.
var samples = []struct {
	is     string
	commit Commit
}{
	{"a live creation", one("", created)},
	{"a live update of an object without a namespace", one("", updated)},
	{"a live deletion", one("", deleted)},
	{"a run that changes one object", one("r1", updated)},
	{"a run that changes several objects", Commit{
		Cluster: "prod", Destination: "live", Run: "r1", Created: 1, Updated: 1, Deleted: 300,
		Changes: []Change{created, updated, deleted}, More: 299,
	}},
	{"live changes that one commit joins", Commit{
		Cluster: "prod", Destination: "live", Created: 1, Updated: 1, Deleted: 300,
		Changes: []Change{created, updated, deleted}, More: 299,
	}},
}

var (
	created = Change{"Create", "deployments.apps shop/web", "deployments.apps", "shop", "web"}
	updated = Change{"Update", "namespaces shop", "namespaces", "", "shop"}
	deleted = Change{"Delete", "configmaps shop/settings", "configmaps", "shop", "settings"}
)

// one is a commit of one change.
func one(run string, c Change) Commit {
	all := Commit{Change: c, Cluster: "prod", Destination: "live", Run: run, Changes: []Change{c}}
	switch c.Action {
	case "Create":
		all.Created = 1
	case "Update":
		all.Updated = 1
	case "Delete":
		all.Deleted = 1
	}
	return all
}
