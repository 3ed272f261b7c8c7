/**
 * Uses each of Curator's recipes against a server: Recipes HOST:PORT. Exits non-zero at the first
 * check that fails. The line "@restart" asks the runner to kill and start the server.
 */
public final class Recipes {
    private Recipes() {}

    public static void main(String[] arguments) {
        if (arguments.length != 1) {
            System.err.println("usage: Recipes HOST:PORT");
            System.exit(2);
        }
        try {
            runAll(new Coordination(arguments[0]), new Nodes(arguments[0]));
        } catch (Throwable failure) {
            failure.printStackTrace(System.out);
            System.exit(1);
        }
        System.exit(0);
    }

    private static void runAll(Checks... groups) throws Exception {
        int passed = 0;
        int skipped = 0;
        for (Checks group : groups) {
            group.runAll();
            passed += group.passed;
            skipped += group.skipped;
        }
        System.out.printf("curator: %d passed, 0 failed, %d skipped%n", passed, skipped);
    }
}
