// Package adversary plays attackers against whole networks: real consensus, real daemons, real money.
package adversary
