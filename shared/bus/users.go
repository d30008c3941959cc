package bus

import (
	"fmt"
	"strings"

	"github.com/kubescribe/kubescribe/shared/subject"
)

// Account is the NATS account that an install has for itself.
const Account = "KUBESCRIBE"

// Accounts is the part of a NATS server's configuration that it includes: the account with its users, each
// with its permissions. Their passwords are variables, as PasswordVariable names them.
func Accounts() string {
	var c strings.Builder
	c.WriteString(`# Who may do what on the NATS server of kubescribe. Its configuration includes this file, and its environment
# has the passwords: of letters and digits, beginning with a letter, so that it takes each for what it is.
`)
	fmt.Fprintf(&c, "accounts {\n  %s {\n    jetstream: enabled\n    users: [\n", Account)
	for _, u := range subject.Users() {
		p := subject.PermissionsOf(u)
		fmt.Fprintf(&c, "      {\n        user: %q\n        password: $%s\n        permissions {\n", u, PasswordVariable(u))
		allow(&c, "publish", p.Publish)
		allow(&c, "subscribe", p.Subscribe)
		c.WriteString("        }\n      }\n")
	}
	c.WriteString("    ]\n  }\n}\n")
	return c.String()
}

func allow(c *strings.Builder, what string, subjects []string) {
	fmt.Fprintf(c, "          %s {\n            allow: [\n", what)
	for _, s := range subjects {
		fmt.Fprintf(c, "              %q\n", s)
	}
	c.WriteString("            ]\n          }\n")
}

// PasswordVariable names a user's password in Accounts: a variable of the configuration, or of the
// server's environment.
func PasswordVariable(u subject.User) string {
	return "KUBESCRIBE_PASSWORD_" + strings.ToUpper(strings.ReplaceAll(string(u), "-", "_"))
}
