// Package network tests a whole running network from outside: with the S3 clients that people
// use, unmodified, and with parts of it killed. It is the one test package that starts devnets.
package network
