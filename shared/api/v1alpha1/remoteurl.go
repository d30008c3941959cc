package v1alpha1

import (
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	urlCredentials = "contains credentials; credentials in a URL would end up in logs and on the bus; remove them and set KUBESCRIBE_GIT_USERNAME and KUBESCRIBE_GIT_PASSWORD_FILE"
	urlForms       = "write https://, http://, ssh:// or file://, git@host:path, or an absolute path"
)

var (
	scpLike  = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._-]*)@([A-Za-z0-9][A-Za-z0-9._-]*):([^:].*)$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?$`)

	defaultPorts = map[string]string{"http": "80", "https": "443", "ssh": "22"}
)

// CanonicalURL is one spelling for all spellings of a remote that [Documents.Validate]
// accepts: lower-case scheme and host, ssh:// for git@host:path, a path for file://,
// and no default port, trailing slash or, over the network, ".git". Any other string
// is its own canonical URL. It is for comparing, not for connecting: two destinations
// share a writer if their remotes have one canonical URL and their branches one name.
func CanonicalURL(remote string) string {
	canonical, problem := parseURL(remote)
	if problem != "" {
		return remote
	}
	return canonical
}

// ValidURL reports whether a remote's URL is one that can be worked with.
func ValidURL(remote string) bool {
	_, problem := parseURL(remote)
	return problem == ""
}

// parseURL gives the canonical form of a remote's URL, or says what is wrong with it
// without repeating any of it.
func parseURL(remote string) (canonical, problem string) {
	switch {
	case remote == "":
		return "", "is required; " + urlForms
	case !utf8.ValidString(remote) || strings.ContainsFunc(remote, isBlank):
		return "", "contains a space or an invisible character; remove it, or in a URL write a space as %20"
	case strings.Contains(remote, `\`):
		return "", "contains a backslash; separate folders by /"
	}
	if strings.HasPrefix(remote, "/") {
		return localPath(remote)
	}
	if scheme, rest, ok := strings.Cut(remote, "://"); ok {
		return schemeURL(strings.ToLower(scheme), rest)
	}
	if m := scpLike.FindStringSubmatch(remote); m != nil {
		p, problem := remotePath(m[3])
		return "ssh://" + m[1] + "@" + strings.ToLower(m[2]) + p, problem
	}
	if before, _, ok := strings.Cut(remote, "@"); ok && strings.Contains(before, ":") {
		return "", urlCredentials
	}
	return "", "is neither a URL nor an absolute path; " + urlForms
}

func schemeURL(scheme, rest string) (canonical, problem string) {
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	userInfo, _, hasUser := cutLast(authority, "@")
	switch {
	case strings.Contains(userInfo, ":"), hasUser && scheme != "ssh":
		return "", urlCredentials
	case scheme != "file" && defaultPorts[scheme] == "":
		return "", "has a scheme that is not supported; " + urlForms
	case strings.ContainsAny(rest, "?#"):
		return "", "has a query or fragment, which a repository's URL does not need and which can carry credentials; remove everything from ? or # on"
	}
	u, err := url.Parse(scheme + "://" + rest)
	if err != nil { // its text repeats the URL
		return "", "is not a valid URL; check host, port and percent-encoding"
	}
	if scheme == "file" {
		if u.Host != "" && u.Host != "localhost" {
			return "", "names a host, and file:// reaches only this one; write three slashes before the path"
		}
		return localPath(u.Path)
	}
	if !hostName.MatchString(u.Hostname()) && !strings.Contains(u.Host, "[") {
		return "", "has no valid host name; write one after ://"
	}
	if n, err := strconv.Atoi(u.Port()); u.Port() != "" && (err != nil || n < 1 || n > 65535) {
		return "", "has no valid port; use one from 1 to 65535"
	}
	if strings.Contains(u.User.Username(), ":") {
		return "", urlCredentials
	}
	if strings.HasPrefix(userInfo, "-") {
		return "", "has a user that begins with a dash; correct it"
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || port == defaultPorts[scheme] {
		host = strings.TrimSuffix(strings.TrimSuffix(host, ":"+port), ":")
	}
	p, problem := remotePath(u.Path)
	if hasUser {
		host = userInfo + "@" + host
	}
	return scheme + "://" + host + p, problem
}

// remotePath is for paths on a server, which finds a repository with and without .git.
func remotePath(p string) (canonical, problem string) {
	if strings.HasPrefix(p, "-") {
		return "", "has a path that begins with a dash; correct it"
	}
	p, problem = localPath(p)
	return strings.TrimSuffix(p, ".git"), problem
}

func localPath(p string) (canonical, problem string) {
	if !utf8.ValidString(p) || strings.ContainsFunc(p, isInvisible) {
		return "", "contains an invisible character; remove it"
	}
	for part := range strings.SplitSeq(p, "/") {
		if part == ".." {
			return "", `contains ".."; write the path without it`
		}
	}
	if p = path.Clean("/" + p); p == "/" {
		return "", "names no repository; add its path"
	}
	return p, ""
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || isInvisible(r) }

// cutLast slices s around the last instance of sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}
