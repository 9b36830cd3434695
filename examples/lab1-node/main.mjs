// One role as one process: node main.mjs ROLE NAME NET ARGUMENTS
//
// NAME is this server's name, NET the folder of socket files, ARGUMENTS a JSON object such as {"viewserver": "vs"}.
// An exception that nobody catches ends the process with a stack trace, as it should: a server's own mistake is
// nothing that it could answer.

import { clerk } from './clerk.mjs';
import { pbserver } from './pbserver.mjs';
import { Host } from './host.mjs';
import { viewserver } from './viewserver.mjs';

const ROLES = { viewserver, pbserver, clerk };

const [role, name, net, words] = process.argv.slice(2);
if (words === undefined || !Object.hasOwn(ROLES, role)) {
  console.error(`expected one of the roles ${Object.keys(ROLES).join(', ')}, then NAME NET ARGUMENTS, got ${role}`);
  process.exit(2);
}
await ROLES[role](new Host(name, net), JSON.parse(words));
