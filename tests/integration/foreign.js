// Submits a task by a client of Node.js, and prints its result. No client of Node.js speaks TLS, but Node.js does: the
// client connects to a port of this process, which carries everything to the server as it is.
const fs = require("node:fs");
const net = require("node:net");
const tls = require("node:tls");
const zookeeper = require("node-zookeeper-client");

const [address, own, authority, command] = process.argv.slice(2);
const [host, port] = address.split(":");
const pair = fs.readFileSync(own);

const tunnel = net.createServer((near) => {
    const far = tls.connect({ host, port, ca: fs.readFileSync(authority), cert: pair, key: pair });
    near.pipe(far).pipe(near);
    near.on("error", () => far.destroy());
    far.on("error", (problem) => {
        console.error(problem.message);
        process.exit(3);
    });
});

tunnel.listen(0, "127.0.0.1", () => {
    const client = zookeeper.createClient(`127.0.0.1:${tunnel.address().port}`);
    const check = (then) => (problem, found) => {
        if (problem) {
            throw problem;
        }
        then(found);
    };
    const waitFor = (task) =>
        client.exists(`${task}/status`, check((there) => (there ? tell(task) : setTimeout(waitFor, 50, task))));
    const tell = (task) =>
        client.getData(`${task}/result`, check((result) => {
            console.log(result.toString());
            process.exit(0);
        }));
    client.once("connected", () =>
        client.create("/tasks/task-", Buffer.from(command), zookeeper.CreateMode.PERSISTENT_SEQUENTIAL, check(waitFor)));
    client.connect();
});
