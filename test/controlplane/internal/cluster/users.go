package cluster

import (
	"bytes"
	"encoding/csv"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
)

const (
	adminUser   = "kubescribe-admin"               // cluster admin
	limitedUser = "limited"                        // may do nothing until RBAC says so
	managerUser = "system:kube-controller-manager" // the controllers' shared informers

	controllerUserPrefix = "system:serviceaccount:kube-system:" // plus the controller's name
)

// account is a user the API server knows, with the groups it has besides
// system:authenticated.
type account struct {
	name   string
	groups []string
}

// users returns all accounts. Controllers have the names and groups they have in
// a kubeadm cluster, so that the API server's own RBAC roles apply to them.
func users() []account {
	all := []account{
		{name: adminUser, groups: []string{user.SystemPrivilegedGroup}},
		{name: limitedUser},
		{name: managerUser},
	}
	for _, c := range controllers {
		all = append(all, account{
			name:   controllerUserPrefix + c.name,
			groups: []string{"system:serviceaccounts", "system:serviceaccounts:kube-system"},
		})
	}
	return all
}

// tokenFile returns the content of the API server's --token-auth-file.
func tokenFile(st *state) []byte {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	for _, u := range users() {
		w.Write([]string{st.Tokens[u.name], u.name, u.name, strings.Join(u.groups, ",")})
	}
	w.Flush()
	return buf.Bytes()
}
