// Package network tests a whole running network from outside: with the S3 clients that people
// use, unmodified, and with parts of it killed, upgraded and joined late. It is the one test
// package that starts devnets, and chains of bare cairnd processes (cairnd_test.go).
package network
