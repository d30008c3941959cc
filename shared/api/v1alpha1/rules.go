package v1alpha1

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

func (c *checker) rules(rules []Rule) {
	if len(rules) == 0 {
		c.add("spec.rules", `is required; add a rule such as {apiGroups: ["*"], resources: ["*"]}`)
	}
	for i, r := range rules {
		path := fmt.Sprintf("spec.rules[%d]", i)
		c.matches(path+".apiGroups", r.APIGroups, `list groups, "" for the core group, or ["*"] for all`, apiGroupProblem)
		c.matches(path+".apiVersions", r.APIVersions, `list versions, or ["*"] for all`, apiVersionProblem)
		c.matches(path+".resources", r.Resources, `list resources, or ["*"] for all`, resourceProblem)
	}
}

// matches checks one list of a rule.
func (c *checker) matches(path string, list []string, advice string, problem func(string) string) {
	if len(list) == 0 {
		c.add(path, "is required; %s", advice)
	}
	for i, entry := range list {
		if entry == "*" {
			if len(list) > 1 {
				c.add(path, `has "*" beside other entries; leave only "*", or remove it`)
				break
			}
			continue
		}
		if p := problem(entry); p != "" {
			c.add(fmt.Sprintf("%s[%d]", path, i), "%s%s", subject(entry), p)
		}
	}
}

var (
	version      = regexp.MustCompile(`^v[0-9]+((alpha|beta)[0-9]+)?$`)
	groupVersion = regexp.MustCompile(`^[a-z0-9.-]*/v[0-9]+((alpha|beta)[0-9]+)?$`)
)

func apiGroupProblem(group string) string {
	switch {
	case group == "":
		return ""
	case group == "core":
		return `is not how the API calls it; write "" for the core group`
	case version.MatchString(group):
		return `is a version and not a group; write "" for the core group, and the version in apiVersions`
	case groupVersion.MatchString(group):
		return "has a version in it; write the group alone, and the version in apiVersions"
	case len(validation.IsDNS1123Subdomain(group)) > 0:
		return `is not an API group; write one such as "apps", "" for the core group, or "*" alone`
	}
	return ""
}

func apiVersionProblem(v string) string {
	switch {
	case groupVersion.MatchString(v):
		return "has a group in it; write the version alone, and the group in apiGroups"
	case len(validation.IsDNS1035Label(v)) > 0:
		return `is not an API version; write one such as "v1", or "*" alone`
	}
	return ""
}

func resourceProblem(resource string) string {
	switch {
	case strings.Contains(resource, "/"):
		return "names a subresource, and those are not written to Git; write the resource alone"
	case len(validation.IsDNS1123Label(resource)) > 0:
		return `is not a resource; write the lower-case plural that kubectl api-resources shows, such as "deployments"`
	}
	return ""
}
