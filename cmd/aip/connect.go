package main

import (
	"flag"
	"net/url"
	"os"
)

// tokenVariable is the environment variable that can hold the token.
const tokenVariable = "AIP_TOKEN"

// tokenFlag adds the flag for the token. What the environment says is no
// default of the flag: help would print that.
func tokenFlag(flags *flag.FlagSet) *string {
	return flags.String("token", "", "the `token` of the server; better in the environment, as "+tokenVariable)
}

// token returns the token for a server: the one that was given; or else that of
// the environment, unless the address of the server has one.
func token(given, address string) string {
	if given != "" || hasToken(address) {
		return given
	}
	return os.Getenv(tokenVariable)
}

func hasToken(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Query().Has("token")
}

const urlNeeded = "--url is needed: the address of a server, such as ws://127.0.0.1:5000/ws"

// checkURL returns the server's address as it may be shown, without anything
// that could be a secret. ok says whether it is an address.
func checkURL(address string) (shown string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return "", false
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String(), true
}
