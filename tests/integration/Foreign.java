import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryOneTime;
import org.apache.zookeeper.CreateMode;

/** Submits a task by Apache Curator, and prints its result. How to connect with TLS are ZooKeeper's own properties. */
public class Foreign {
    public static void main(String[] words) throws Exception {
        try (CuratorFramework client =
                CuratorFrameworkFactory.newClient(words[0], 10000, 5000, new RetryOneTime(1000))) {
            client.start();
            if (!client.blockUntilConnected(20, TimeUnit.SECONDS)) {
                System.exit(3);
            }
            String task = client.create()
                .withMode(CreateMode.PERSISTENT_SEQUENTIAL)
                .forPath("/tasks/task-", words[1].getBytes());
            while (client.checkExists().forPath(task + "/status") == null) {
                Thread.sleep(50);
            }
            System.out.println(new String(client.getData().forPath(task + "/result")));
        }
    }
}
