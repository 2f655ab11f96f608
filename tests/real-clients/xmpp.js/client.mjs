// A client of xmpp.js: logs in, tells each thing that comes on a line of its own, and sends the
// lines of XML that it reads. Arguments: the folder of node_modules, service, domain, username,
// password, resource.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, service, domain, username, password, resource] = process.argv.slice(2);
const library = `${folder}/node_modules/@xmpp/client/index.js`;
const { client } = await import(pathToFileURL(library));

const tell = (what, text) => console.log(`${what} ${String(text).replaceAll("\n", " ")}`);
const entity = client({ service, domain, username, password, resource });
entity.reconnect.stop();
entity.on("element", (element) => tell("read", element));
entity.on("send", (element) => tell("sent", element));
entity.on("online", (jid) => tell("online", jid));
entity.on("error", (error) => tell("error", error));
entity.on("offline", () => tell("offline", ""));
createInterface({ input: process.stdin })
  .on("line", (line) => entity.write(line))
  .on("close", () => entity.stop().then(() => process.exit(0)));
entity.start().catch((error) => {
  tell("failed", error);
  process.exit(1);
});
