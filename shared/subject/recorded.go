package subject

// EventsOf selects what lanes have stored of one type, or (resource "") of any, of all
// clusters, in one namespace, or (namespace "") in all of them and in none. Of any type
// there are MARKs among it.
func EventsOf(group, resource, namespace string) string {
	of, in := join(Token(group), Token(resource)), Token(namespace)
	if resource == "" {
		of = "*.*"
	}
	if namespace == "" {
		in = "*"
	}
	return join("ks.ev.d.*.*", of, in)
}
