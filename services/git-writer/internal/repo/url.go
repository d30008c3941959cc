package repo

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing/transport"
)

// location is a repository URL taken apart.
type location struct {
	scheme string // http, https, ssh or file
	user   *url.Userinfo
	host   string // lower case, without a port; an IPv6 address without brackets
	port   int    // 0: the scheme's default
	path   string // unescaped; of scp-like URLs possibly relative to a home directory
}

// scpLike is [user@]host:path, git's other way to write an SSH URL (git help
// clone, "GIT URLS"): no slash before the colon.
var scpLike = regexp.MustCompile(`^(?:([^@/]+)@)?(\[[0-9A-Fa-f:.]+\]|[^:/@\[\]]+):(.+)$`)

// hostName is what a host may look like: a name, or an IP address. A dash at its
// beginning would be an option to some program.
var hostName = regexp.MustCompile(`^(?:[\pL\pN_][\pL\pN._-]*|[0-9a-f:.]*:[0-9a-f:.]*)$`)

var defaultPorts = map[string]int{"http": 80, "https": 443, "ssh": 22}

// locate takes raw apart, or says what is wrong with it. No error repeats raw.
func locate(raw string) (location, error) {
	if raw == "" {
		return location{}, errors.New("it is empty")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r == unicode.ReplacementChar || unicode.IsControl(r) }) || strings.TrimSpace(raw) != raw {
		return location{}, errors.New("it has control characters or spaces around it")
	}
	if strings.Contains(raw, "://") {
		return locateURL(raw)
	}
	colon, slash := strings.IndexByte(raw, ':'), strings.IndexByte(raw, '/')
	if colon < 0 || slash >= 0 && slash < colon {
		return locateFile(raw)
	}
	return locateSCP(raw)
}

func locateURL(raw string) (location, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return location{}, errors.New("it cannot be parsed") // url.Parse repeats it, credentials and all
	}
	l := location{scheme: strings.ToLower(u.Scheme), user: u.User, host: strings.ToLower(u.Hostname()), path: u.Path}
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return location{}, errors.New("it has a query or a fragment")
	case l.scheme == "file":
		if l.host != "" && l.host != "localhost" || u.User != nil {
			return location{}, errors.New("a file URL names another host")
		}
		return locateFile(u.Path)
	case defaultPorts[l.scheme] == 0:
		return location{}, fmt.Errorf("scheme %q is not supported (http, https, ssh and file are)", l.scheme)
	case !hostName.MatchString(l.host):
		return location{}, errors.New("it names no host")
	case !namesRepository(l.path):
		return location{}, errors.New("it names no repository")
	}
	if p := u.Port(); p != "" {
		if l.port, err = strconv.Atoi(p); err != nil || l.port < 1 || l.port > 65535 {
			return location{}, fmt.Errorf("%q is no port", p)
		}
	}
	return l, nil
}

// namesRepository says whether a path on another host leads below its root.
func namesRepository(p string) bool {
	return path.Clean("/"+p) != "/" && !slices.Contains(strings.Split(p, "/"), "..")
}

func locateSCP(raw string) (location, error) {
	m := scpLike.FindStringSubmatch(raw)
	switch {
	case m == nil:
		return location{}, errors.New("it is neither a URL nor a path")
	case strings.HasPrefix(m[3], ":"):
		return location{}, errors.New("remote helpers are not supported")
	case len(m[2]) == 1:
		return location{}, errors.New("it looks like a Windows path")
	case defaultPorts[strings.ToLower(m[2])] != 0 || strings.EqualFold(m[2], "file"):
		return location{}, errors.New("two slashes are missing after the scheme")
	case !hostName.MatchString(strings.ToLower(strings.Trim(m[2], "[]"))):
		return location{}, errors.New("it names no host")
	case strings.Contains(m[1], ":"):
		return location{}, errors.New("it has a password where none can be")
	case !namesRepository(m[3]):
		return location{}, errors.New("it names no repository")
	}
	l := location{scheme: "ssh", host: strings.ToLower(strings.Trim(m[2], "[]")), path: m[3]}
	if m[1] != "" {
		l.user = url.User(m[1])
	}
	return l, nil
}

func locateFile(name string) (location, error) {
	if name == "" {
		return location{}, errors.New("it names no repository")
	}
	abs, err := filepath.Abs(name)
	if err != nil {
		return location{}, fmt.Errorf("making it absolute: %w", err)
	}
	if strings.TrimSpace(abs) != abs {
		return location{}, errors.New("it ends in a space")
	}
	return location{scheme: "file", path: abs}, nil
}

// endpoint is the location as go-git's transports take it, without credentials
// for http and https: those go with a session.
func (l location) web() bool { return l.scheme == "http" || l.scheme == "https" }

func (l location) endpoint() *transport.Endpoint {
	ep := &transport.Endpoint{Protocol: l.scheme, Host: l.host, Port: l.port, Path: l.path}
	switch l.scheme {
	case "http", "https":
		// go-git puts the path into request lines as it is.
		ep.Path = (&url.URL{Path: l.path}).EscapedPath()
		if strings.Contains(l.host, ":") {
			ep.Host = "[" + l.host + "]"
		}
	case "ssh":
		if l.user != nil {
			ep.User = l.user.Username()
		}
	}
	return ep
}

// Remote is the same for all ways to write the URL of one repository by one protocol: without
// a user, the protocol's own port, and over the network a ".git" or a slash at its end.
func Remote(raw string) string {
	l, err := locate(raw)
	if err != nil {
		return raw
	}
	if l.port == defaultPorts[l.scheme] {
		l.port = 0
	}
	if l.scheme != "file" {
		l.path = strings.TrimSuffix(path.Clean("/"+l.path), ".git")
	}
	return fmt.Sprintf("%s://%s:%d%s", l.scheme, l.host, l.port, l.path)
}

// Redact is raw without anything that may be a credential, for logs and errors.
// It works for what is no URL at all.
func Redact(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		// Not a URL. Whatever stands before an @ is dropped unless it can
		// only be the user of an scp-like URL.
		at := strings.LastIndexByte(raw, '@')
		if at >= 0 && strings.ContainsAny(raw[:at], ":/") {
			return "***@" + raw[at+1:]
		}
		return raw
	}
	user := u.User
	u.User, u.RawQuery, u.ForceQuery, u.Fragment = nil, "", false, ""
	if user != nil && strings.EqualFold(u.Scheme, "ssh") {
		u.User = url.User(user.Username())
	}
	return u.String()
}
